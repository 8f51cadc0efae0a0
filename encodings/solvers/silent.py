"""A HiGHS instance for proofs: without presolve, and its licence banner does not reach the terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

from pyomo.common.tee import capture_output


def silent_highs() -> Any:
    """A new HiGHS. The first one of a process prints two lines before any option can be set.

    No presolve: with it HiGHS 1.16.0 called feasible time-stepped programs infeasible (3 of 520 random ones, after it
    had found points itself; right without it at every seed), as others have reported of earlier versions. "Infeasible"
    is what proves a witness the worst, so it must not be wrong. On the lattice that took at most 1.7 times as long.
    """
    import highspy  # not at the top: it cannot live in a process with OR-tools

    with capture_output(StringIO(), capture_fd=True):
        highs = highspy.Highs()
    highs.setOptionValue("presolve", "off")
    return highs
