"""The printed policy table read back into columns, so that the page shows real tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RuleTable:
    """A table, or a paragraph (no `head`)."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: str = ""


def rule_tables(lines: Sequence[str]) -> list[RuleTable]:
    """Blocks between blank lines; columns stand under their headings, two blanks or more apart.

    A line with an empty first column continues the one above. A block without such columns stays text.
    """
    found = []
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    for block in filter(str.strip, blocks):
        head, *body = block.split("\n")
        starts = [match.start() for match in re.finditer(r"(?:(?<=  )|^)\S", head)]
        if len(starts) < 2 or not body or not _fits(starts, body):
            found.append(RuleTable((), (), block))
            continue
        rows: list[tuple[str, ...]] = []
        for line in body:
            cells = _cells(line, starts)
            if cells[0] or not rows:
                rows.append(cells)
            else:
                rows[-1] = tuple(f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True))
        found.append(RuleTable(_cells(head, starts), tuple(rows)))
    return found


def _cells(line: str, starts: Sequence[int]) -> tuple[str, ...]:
    ends = [*starts[1:], None]
    return tuple(line[start:end].strip() for start, end in zip(starts, ends, strict=True))


def _fits(starts: Sequence[int], body: Sequence[str]) -> bool:
    """Whether no word runs across the start of a column."""
    return all(line[start - 1:start] in ("", " ") for line in body for start in starts[1:])
