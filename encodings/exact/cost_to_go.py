"""`CostToGo`: the best achievable final objective from any state of a run, for regret attribution.

Regret of a step = value(after) - value(before). All questions about one workload share one memo.
"""

from __future__ import annotations

from collections.abc import Iterable

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective, State
from drex_runtime.simulator.mechanics import check_matching
from xplain.encodings.exact.positions import position_of
from xplain.encodings.exact.results import Interval, Limits
from xplain.encodings.exact.search import NO_LIMITS
from xplain.encodings.exact.searcher import Searcher


class CostToGo:
    """Optimal final objective values of one workload on one server; see `solve` for arguments and refusals."""

    def __init__(self, workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective, *,
                 always_consult: bool = False, limits: Limits = NO_LIMITS) -> None:
        check_matching(workload, profile, config)
        self.workload, self.limits = workload, limits
        self._searcher = Searcher(workload, profile, config, objective, always_consult=always_consult)

    def value(self, state: State) -> Interval:
        """The least final objective reachable from the state, which may lie in mid-pass. `limits` hold per question."""
        position = position_of(state, self.workload, self._searcher.instance.total)
        if position.finished:
            return Interval(position.base, position.base)
        answer = self._searcher.answer(position, self.limits, 0)
        return Interval(position.base + answer.lower, position.base + answer.upper)

    def values(self, states: Iterable[State]) -> list[Interval]:
        """`value` of several states; the last ones of a run first, so that later questions find earlier answers."""
        listed = list(states)
        found = [self.value(state) for state in reversed(listed)]
        return found[::-1]
