"""What a simulated or real run leaves behind: events, counters, completion times.

Every event carries the clock and what it cost, so that timelines, accounting and step regrets can be read off
without running again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from drex_runtime.cost_model.online import UsedArt
from drex_runtime.scheduling.state import Action, Objective, State, objective_value


class EventKind(StrEnum):
    """Kinds of events; those with `ticks` occupy the device (IDLE: leave it unused)."""

    ADMIT = "admit"
    IDLE = "idle"
    PREFILL = "prefill"
    START = "start"
    SEGMENT = "segment"
    RAMP = "ramp"
    FILL = "fill"
    REBATCH = "rebatch"
    EXIT = "exit"
    PARK = "park"
    STAY = "stay"
    JOIN = "join"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Event:
    """At clock `at` (its start), `ticks` long, concerning `rows` (positions in the workload) at `segment`."""

    at: int
    kind: EventKind
    segment: int = 0
    rows: tuple[int, ...] = ()
    ticks: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One choice: the state before it, what was chosen, by which rule on which view."""

    state: State
    action: Action
    rule: str
    view: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """A launch as engine and simulator must agree on it."""

    start: int
    kind: str
    pool: int
    rows: tuple[int, ...]
    rule: str


@dataclass
class Log:
    """Collects events, launches, the online values used and (if asked) steps while a run goes on."""

    keep_steps: bool = True
    events: list[Event] = field(default_factory=list)
    launches: list[LaunchRecord] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    arts: list[UsedArt] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """A finished run. Times in ticks; per-request tuples by position in the workload.

    `token_times[i][t]` and `token_depths[i][t]` (the segment whose head emitted it; K + 1 = full depth).
    """

    completed: tuple[int, ...]
    arrivals: tuple[int, ...]
    dues: tuple[int | None, ...]
    token_times: tuple[tuple[int, ...], ...]
    token_depths: tuple[tuple[int, ...], ...]
    launches: int
    splits: int
    involuntary_exits: int
    involuntary_stays: int
    busy: int
    log: Log | None = None

    def objective(self, objective: Objective) -> int:
        """The integer objective of this run."""
        return objective_value(objective, self.completed, self.arrivals, self.dues)

    @property
    def makespan(self) -> int:
        """Last completion, from clock 0."""
        return max(self.completed)

    @property
    def tokens(self) -> int:
        """Output tokens."""
        return sum(len(times) for times in self.token_times)
