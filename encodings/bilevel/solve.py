"""Solve a bilevel program with HiGHS in process; report an input only if every follower, solved again there, agrees."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from drex_runtime.errors import LimitError
from xplain.encodings.bilevel.embedded import leader_box
from xplain.encodings.bilevel.errors import NoOptimumError
from xplain.encodings.bilevel.follower import Array
from xplain.encodings.bilevel.program import Program
from xplain.encodings.bilevel.replay import Optimum, check_replayed, replay

Stopped = Literal["proved", "time-limit", "infeasible"]
DIGITS = 9
OPTIONS: dict[str, Any] = {
    "mip_feasibility_tolerance": 1e-9, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9,
    "mip_rel_gap": 0.0, "mip_abs_gap": 1e-7, "threads": 1,
}


@dataclass(frozen=True, eq=False)
class BilevelAnswer:
    """`objective`: the replayed value at the leader's input `x` (p); both None if no input was found.

    `bound`: no input does better, by HiGHS in floating point (inf: nothing proved); "proved" means that the two meet,
    "infeasible" that at no input all followers have an optimum. `optima`: the followers solved again at x.
    """

    stopped: Stopped
    objective: float | None
    bound: float
    x: Array | None
    optima: tuple[Optimum, ...]
    seconds: float


def solve(program: Program, *, time_limit: float = math.inf) -> BilevelAnswer:
    """The best input within `time_limit` seconds.

    ReplayError if a follower's claim does not hold, NoOptimumError if a direct follower is unbounded, LimitError if
    HiGHS fails.
    """
    started = time.perf_counter()
    results = _highs(program, time_limit, OPTIONS)
    if results.termination_condition == TerminationCondition.infeasibleOrUnbounded:
        results = _highs(program, time_limit, OPTIONS | {"presolve": "off"})  # presolve cannot tell which
    seconds, why = time.perf_counter() - started, results.termination_condition
    bound = math.inf if results.objective_bound is None else float(results.objective_bound)
    if why == TerminationCondition.provenInfeasible:
        return BilevelAnswer("infeasible", None, -math.inf, None, (), seconds)
    if why == TerminationCondition.unbounded:  # rewritten followers are bounded by their dual variables
        direct = ", ".join(each.follower.name for each in program.followers if each.form == "direct")
        raise NoOptimumError(direct, "unbounded", "for some input within the leader's bounds")
    if why not in (TerminationCondition.convergenceCriteriaSatisfied, TerminationCondition.maxTimeLimit):
        raise LimitError(f"HiGHS stopped without an answer: {why.name}")
    stopped: Stopped = "proved" if why == TerminationCondition.convergenceCriteriaSatisfied else "time-limit"
    if results.solution_status == SolutionStatus.noSolution:
        return BilevelAnswer(stopped, None, bound, None, (), seconds)
    results.solution_loader.load_vars()
    x = _inputs(program)
    optima = tuple(replay(each.follower, x) for each in program.followers)
    for each, optimum in zip(program.followers, optima, strict=True):
        check_replayed(each.follower, float(pyo.value(each.value)), optimum, aligned=each.form == "direct")
    objective = sum(weight * optimum.value for weight, optimum in zip(program.weights, optima, strict=True))
    return BilevelAnswer(stopped, objective, max(bound, objective), x, optima, seconds)


def _highs(program: Program, time_limit: float, options: dict[str, Any]) -> Any:
    return Highs().solve(program.model, load_solutions=False, raise_exception_on_nonoptimal_result=False, rel_gap=0.0,
                         time_limit=None if math.isinf(time_limit) else time_limit, solver_options=options)


def _inputs(program: Program) -> Array:
    """The inputs found: exact levels, whole numbers for discrete ones, the others within their bounds."""
    low, high = leader_box(program.leaders)
    found = np.array([float(pyo.value(each)) for each in program.leaders])
    discrete = np.array([not each.is_continuous() for each in program.leaders])
    # Noise below the solver's tolerance could push a follower over the edge of feasibility when it is solved again.
    x = np.clip(np.where(discrete, np.round(found), np.round(found, DIGITS)), low, high)
    if program.levels is None:
        return np.asarray(x)
    chosen = program.levels.chosen()
    return np.asarray(np.where(np.isnan(chosen), x, chosen))
