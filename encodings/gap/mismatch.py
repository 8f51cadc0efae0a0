"""The error of a method whose claim does not survive the replay."""

from __future__ import annotations

from drex_runtime.errors import DrexError


class ReplayMismatch(DrexError):  # noqa: N818 - the name is part of the interface
    """A claimed gap or bound that simulator and exact search contradict: encoding or solver is wrong."""

    exit_code = 70  # EX_SOFTWARE
