"""Cost-to-go: what an objective will be from a state on, under the optimum or under a reference policy.

One interface, two sources. The clairvoyant's values come from the exact search (`CostToGo`), intervals where it hit
a limit; a reference policy's from simulation, always one number. Source: scheduling model, Regret.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from drex_runtime.policies import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Objective, Phase, State, objective_value
from drex_runtime.simulator.arrays import compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import costs_to_go
from xplain.encodings.exact import CostToGo, Interval


class Values(Protocol):
    """The final objective from a state on."""

    @property
    def label(self) -> str:
        """`clairvoyant` or `policy:NAME`."""
        ...

    @property
    def optimal(self) -> bool:
        """Whether nothing beats the source, so that its values never fall along a run."""
        ...

    def value(self, state: State) -> Interval:
        """The final objective if everything from `state` on is done by the source."""
        ...

    def values(self, states: Sequence[State]) -> list[Interval]:
        """`value` of many states; cheaper than one by one where the source is a simulation."""
        ...


def finished_value(workload: Workload, objective: Objective, state: State) -> int:
    """The objective of a state in which everything is done."""
    return objective_value(objective, state.completed, tuple(item.arrival for item in workload.requests),
                           tuple(item.due for item in workload.requests))


def never_falling(intervals: Sequence[Interval]) -> list[Interval]:
    """Optimal values along a run, each narrowed by the others: what a later state can still reach, every state before
    it can, and what a state cannot beat, none after it can."""
    lowers, uppers = [item.lower for item in intervals], [item.upper for item in intervals]
    uppers = list(accumulate(reversed(uppers), min))[::-1]
    return [Interval(lower, upper) for lower, upper in zip(accumulate(lowers, max), uppers, strict=True)]


class ClairvoyantValues:
    """V* by the exact search."""

    label = "clairvoyant"
    optimal = True

    def __init__(self, workload: Workload, objective: Objective, search: CostToGo) -> None:
        self.workload, self.objective, self.search = workload, objective, search

    def value(self, state: State) -> Interval:
        """V*(state)."""
        if state.phase == Phase.END:
            done = finished_value(self.workload, self.objective, state)
            return Interval(done, done)
        return self.search.value(state)

    def values(self, states: Sequence[State]) -> list[Interval]:
        """V* of each state; the search keeps what it learns from one to the next."""
        return [self.value(state) for state in states]


class ReferenceValues:
    """V_ref by simulating `reference` from the state."""

    optimal = False

    def __init__(self, workload: Workload, objective: Objective, reference: BoundPolicy) -> None:
        self.workload, self.objective, self.reference = workload, objective, reference
        self.label = f"policy:{reference.policy.name}"
        self._compiled = (compiled_policy(reference), compiled_workload(workload))

    def value(self, state: State) -> Interval:
        """V_ref(state)."""
        return self.values([state])[0]

    def values(self, states: Sequence[State]) -> list[Interval]:
        """V_ref of each state, one compiled call."""
        running = [state for state in states if state.phase != Phase.END]
        costs = iter(costs_to_go(*self._compiled, running, self.objective) if running else ())
        ends = (finished_value(self.workload, self.objective, state) if state.phase == Phase.END else int(next(costs))
                for state in states)
        return [Interval(end, end) for end in ends]
