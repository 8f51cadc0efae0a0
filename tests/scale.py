"""How many cases a test runs: a quick count by default, the full one in `make test-all`."""

from __future__ import annotations

import os
import sys

ENV = "DREX_TEST_ALL"

_counts: dict[str, int] = {}


def scaled(default: int, full: int, label: str = "") -> int:
    """Return `full` when the environment asks for all cases (DREX_TEST_ALL=1), else `default`.

    The count is remembered under `label` (by default the caller's module and function) and listed at the end
    of the pytest run, so that the output says how much was tested.
    """
    count = full if os.environ.get(ENV, "") not in ("", "0") else default
    if not label:
        caller = sys._getframe(1)
        label = f"{caller.f_globals['__name__']}:{caller.f_code.co_name}".replace(":<module>", "")
    _counts[label] = count
    return count


def merge(others: dict[str, int]) -> None:
    """Take over counts handed out in another process."""
    _counts.update(others)


def counts() -> dict[str, int]:
    """Counts handed out so far, by label."""
    return dict(_counts)
