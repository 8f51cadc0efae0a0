"""`solve`: the clairvoyant optimum of a workload, or a proved interval with a schedule.

Source: scheduling model, section Clairvoyant optimum. Objectives: makespan, total completion time.
"""

from __future__ import annotations

from time import perf_counter

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective, State
from drex_runtime.simulator.mechanics import check_matching
from xplain.encodings.exact.positions import position_of, replay
from xplain.encodings.exact.results import Interval, Limits, SearchResult
from xplain.encodings.exact.searcher import Searcher
from xplain.encodings.exact.uncapped import solve_uncapped
from xplain.encodings.exact.uncapped_model import applies

BEAM_WIDTH = 2
NO_LIMITS = Limits()
SMALL = 4  # the general search is as fast up to this many requests


def solve(workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective, *,
          start: State | None = None, always_consult: bool = False, limits: Limits = NO_LIMITS) -> SearchResult:
    """The least objective reachable from `start` (default: clock 0), with a schedule that attains the upper bound.

    `always_consult`: only schedules that consult every ramp (equal texts). Refuses, by name, the objective
    "misses" and limited prefill (RecordError) and what does not fit together (LimitError). The specialised search of
    `uncapped` takes over where it applies.
    """
    began = perf_counter()
    check_matching(workload, profile, config)
    if (objective == "makespan" and start is None and not always_consult and len(workload.requests) > SMALL
            and config.prefill_tokens is None and applies(workload, profile, config) is None):
        return solve_uncapped(workload, profile, config, limits)
    searcher = Searcher(workload, profile, config, objective, always_consult=always_consult)
    position = position_of(start, workload, searcher.instance.total)
    if position.finished:
        return SearchResult(Interval(position.base, position.base), (), "proved", 0, perf_counter() - began)
    answer = searcher.answer(position, limits, BEAM_WIDTH)
    steps = answer.steps or searcher.schedule(position, answer.upper)
    schedule, reached = replay(steps, workload, profile, config, objective, start, always_consult)
    if reached != position.base + answer.upper:
        raise RuntimeError(f"the schedule found reaches {reached}, the search says {position.base + answer.upper}")
    return SearchResult(Interval(position.base + answer.lower, reached), schedule, answer.stopped, answer.nodes,
                        perf_counter() - began)
