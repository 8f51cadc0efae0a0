"""Runs `xplain` on problems that a test writes into a file."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.xplain.tiny import run_command

HEAD = "from xplain.studies import Case, Dimension, InfeasibleError\nfrom math import nan, inf\n"


def written(folder: Path, text: str) -> str:
    """A module with `text` in it; its subject, for a class named Mine."""
    path = folder / "mine.py"
    path.write_text(HEAD + dedent(text))
    return f"{path}:Mine"


def analysed(folder: Path, subject: str, *options: str, evaluations: int = 200) -> tuple[dict[str, Any], str]:
    """analysis.json and report.html of `xplain analyze SUBJECT`."""
    out = folder / "run"
    assert run_command(("analyze", subject, "--evaluations", str(evaluations), "--out", out, *options)) == 0
    assert {path.name for path in out.iterdir()} == {"analysis.json", "findings.json", "samples.parquet", "report.html",
                                                    "request.json"}
    return json.loads((out / "analysis.json").read_text()), (out / "report.html").read_text()


def refused(capsys: pytest.CaptureFixture[str], folder: Path, subject: str, *options: str) -> str:
    """The one line of an analysis that must be refused with exit code 2, leaving nothing."""
    assert run_command(("analyze", subject, "--evaluations", "50", "--out", folder / "run", *options)) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert captured.out == "" and len(lines) == 1 and "Traceback" not in captured.err, captured
    assert not list(folder.glob("*run*"))
    return lines[0]
