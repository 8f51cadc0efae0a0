"""What can be wrong with a bilevel program, each with its own type."""

from __future__ import annotations

from typing import Literal

from drex_runtime.errors import DrexError, EngineError, LimitError

Side = Literal["infeasible", "unbounded"]


class NoBoundError(LimitError):
    """A big-M of a rewrite has no proved bound, or one too large for floating-point arithmetic."""


class NoOptimumError(DrexError):
    """A follower has no optimum (`side` says why), at one input of the leader or at all of them."""

    def __init__(self, follower: str, side: Side, where: str) -> None:
        self.follower, self.side = follower, side
        super().__init__(f"follower {follower} is {side} {where}")


class ReplayError(EngineError):
    """A follower solved again at the leader's input gives another value than the single-level program claims."""
