"""A HiGHS instance whose licence banner does not reach the terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

from pyomo.common.tee import capture_output


def silent_highs() -> Any:
    """A new HiGHS. The first one of a process prints two lines before any option can be set."""
    import highspy  # not at the top: it cannot live in a process with OR-tools

    with capture_output(StringIO(), capture_fd=True):
        return highspy.Highs()
