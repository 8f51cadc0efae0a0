"""The smallest useful analysis: a synthetic profile, few evaluations, the command line run in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, save_profile
from xplain.pipeline import analyze
from xplain.problems.generator import default_space
from xplain.records import Analysis
from xplain.request import AnalysisRequest

PROFILE = CostProfile(
    "tiny", (1, 2, 4, 8), (SegmentCost((900, 1000, 1100, 1300), 20), SegmentCost((800, 900, 1000, 1200), 20)),
    (LinearCost(50, 2),), (400,), 100, LinearCost(10, 5), PrefillCost(500, 10))


def tiny_request(**changes: object) -> AnalysisRequest:
    """Twenty inputs per scale, forty held-out ones."""
    fields: dict[str, object] = {"subject": "drex", "space": default_space(PROFILE.max_rows), "evaluations": 20,
                                 "requests": 3, "tokens": 3, "held_out": 40, "replicates": 1, "jobs": 1}
    return AnalysisRequest(**{**fields, **changes})  # type: ignore[arg-type]


def analyse_tiny(out: Path, profile: CostProfile = PROFILE, **changes: object) -> Analysis:
    """The tiny analysis, changed as said."""
    return analyze(tiny_request(**changes), profile, out)


def run_command(arguments: Sequence[str | Path]) -> int:
    """`xplain ARGUMENTS` in this process; its exit code. Anything but a clean exit is raised."""
    from xplain.cli import main

    with patch.object(sys, "argv", ["xplain", *map(str, arguments)]):
        try:
            main()
        except SystemExit as exit:
            return int(exit.code or 0)


def saved_profile(folder: Path, profile: CostProfile = PROFILE) -> Path:
    """`profile` as a file in `folder`."""
    path = folder / "profile.json"
    save_profile(path, profile)
    return path
