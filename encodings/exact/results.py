"""What an exact search is given (limits) and what it hands back (a proved interval and a schedule)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drex_runtime.errors import RecordError
from drex_runtime.scheduling.state import Action

Stopped = Literal["proved", "nodes", "seconds", "memory"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a search gives up: expanded states and wall-clock seconds; None = no such limit."""

    nodes: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.nodes is not None and self.nodes < 0:
            raise RecordError("limits", "nodes", self.nodes, "0 or more states")
        if self.seconds is not None and not self.seconds >= 0:
            raise RecordError("limits", "seconds", self.seconds, "0 or more seconds")


@dataclass(frozen=True, slots=True)
class Interval:
    """The optimum lies in [lower, upper] (integer ticks, both ends included)."""

    lower: int
    upper: int

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise RecordError("interval", "lower", self.lower, f"at most upper = {self.upper}")

    @property
    def proved(self) -> bool:
        """The interval is one point."""
        return self.lower == self.upper

    @property
    def width(self) -> int:
        """upper - lower, in ticks."""
        return self.upper - self.lower


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`schedule` attains `interval.upper` from the searched state; `stopped` says why the search ended.

    `nodes`: states expanded; `seconds`: wall clock.
    """

    interval: Interval
    schedule: tuple[Action, ...]
    stopped: Stopped
    nodes: int
    seconds: float
