"""The index of bad inputs is complete and true: every item once, every test it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "bad-inputs.md").read_text(encoding="utf-8")
ITEMS = 39
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Names of a file's test functions."""
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                     if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def test_every_item_is_listed_once_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, ITEMS + 1))
    for number, row in rows:
        cells = [cell.strip() for cell in row.split(" | ")]
        assert len(cells) == 3 and all(cells) and TEST.search(cells[2]), number


def test_every_test_named_exists() -> None:
    found = TEST.findall(PAGE)
    assert len(found) > ITEMS and len(found) == PAGE.count("::")
    for name, test in found:
        path = ROOT / name if name.startswith("tests/") else ROOT / "tests" / "drex_runtime" / name
        assert path.is_file(), name
        assert test in functions_of(path), f"{name}::{test}"
