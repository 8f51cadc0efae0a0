"""The full scheduling state at a choice point, and the actions that leave it.

One vocabulary for simulators, exact search, replay and regret attribution. Source: scheduling model,
section Decisions. A state is at rest at one of four choice points (`Phase`); everything between two
choice points is forced and charged by the mechanics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Objective = Literal["total-completion", "makespan", "misses"]


class Phase(IntEnum):
    """Which choice is due."""

    DECIDE = 0  # device idle, arrivals admitted: which launch?
    CONSULT = 1  # segment s <= K has run for the rows in the pass: consult ramp s?
    RAMP = 2  # ramp s was consulted and some rows are not ready: split or continue?
    JOIN = 3  # the pass goes on to s + 1, pool s + 1 is not empty and there is room: join?
    END = 4  # all requests complete


class Place(IntEnum):
    """Where a request is, if not in pool s (then its place is the number s >= 1)."""

    WAITING = 0  # not arrived, or arrived and without a place
    RUNNING = -1  # in the current pass
    DONE = -2
    PREFILLING = -3  # holds a place, part of its prompt processed, in no pool


class Kind(IntEnum):
    """Kinds of actions. PREFILL, RUN, IDLE at DECIDE; then per choice point."""

    PREFILL = 0
    RUN = 1
    IDLE = 2
    CONSULT = 3
    SKIP = 4  # do not consult
    SPLIT = 5
    CONTINUE = 6
    EXIT_ALL = 7  # baselines only
    RELEASE = 8  # baselines only
    JOIN = 9
    STAY_APART = 10  # do not join


@dataclass(frozen=True, slots=True)
class Action:
    """One choice. `pool` for RUN; `rows` = positions in the workload for RUN and JOIN, None = the pool's first."""

    kind: Kind
    pool: int = 0
    rows: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides the future; per-request tuples are indexed by position in the workload.

    place: Place or pool number · emitted: tokens out · prefilled: prompt tokens processed · entered: pool entry
    time · latched: ramp at which a running row became ready and stayed (0: none) · stamped: RELEASE time of the
    running token (-1: none) · completed: completion time (-1: not yet). `segment`: of the pass, outside DECIDE.
    `ages[s-1]`, `decodes_since_prefill`, `idle_streak`, `entered`, `last` (time of the last token, the arrival
    before the first; () = all arrivals), `exits` (what the view at RAMP and JOIN shows) and `recent` (`Recent.flat`;
    () = no pass yet) matter to policies only.
    States at DECIDE are taken before admissions and before ages are counted.
    """

    now: int
    phase: Phase
    segment: int
    place: tuple[int, ...]
    emitted: tuple[int, ...]
    prefilled: tuple[int, ...]
    entered: tuple[int, ...]
    latched: tuple[int, ...]
    stamped: tuple[int, ...]
    completed: tuple[int, ...]
    ages: tuple[int, ...]
    decodes_since_prefill: int = 0
    idle_streak: int = 0
    last: tuple[int, ...] = ()
    exits: int = 0
    recent: tuple[int, ...] = ()


def initial_state(num_requests: int, num_segments: int) -> State:
    """Clock 0, nobody admitted (the mechanics admit at the first decision)."""
    zeros, never = (0,) * num_requests, (-1,) * num_requests
    return State(0, Phase.DECIDE, 0, zeros, zeros, zeros, zeros, zeros, never, never, (0,) * num_segments)


def objective_value(objective: Objective, completed: tuple[int, ...], arrivals: tuple[int, ...],
                    dues: tuple[int | None, ...]) -> int:
    """The integer objective of finished requests. Source: scheduling model, Objectives."""
    match objective:
        case "makespan":
            return max(completed)
        case "total-completion":
            return sum(end - start for end, start in zip(completed, arrivals, strict=True))
        case "misses":
            return sum(due is not None and end > due for end, due in zip(completed, dues, strict=True))
