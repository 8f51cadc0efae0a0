"""The best flow of a network, by HiGHS in this process (floating point)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from drex_runtime.errors import LimitError
from xplain.flow.compiled import Compiled, compile_network
from xplain.flow.network import Network
from xplain.flow.rules import Quantity

Status = Literal["optimal", "infeasible", "unbounded"]
OPTIONS: dict[str, Any] = {
    "mip_feasibility_tolerance": 1e-9, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9,
    "mip_rel_gap": 0.0, "mip_abs_gap": 1e-7,
}


@dataclass(frozen=True)
class Solution:
    """`objective` and every quantity by name (both empty unless optimal); sizes and times are in `compiled`."""

    status: Status
    objective: float | None
    values: dict[Quantity, float]
    compiled: Compiled
    seconds: float


def solve(network: Network, *, merged: bool = True, time_limit: float = 60.0) -> Solution:
    """Compile and solve. LimitError if HiGHS gives no answer within `time_limit` seconds; InputError as compiling."""
    return solve_compiled(compile_network(network, merged=merged), time_limit=time_limit)


def solve_compiled(compiled: Compiled, *, time_limit: float = 60.0) -> Solution:
    """Solve a program that stands by itself (no inputs of others left open)."""
    started = time.perf_counter()
    block = compiled.block
    results, status = _run(block, time_limit, {}), None
    why = results.termination_condition
    if why == TerminationCondition.provenInfeasible:
        status = "infeasible"
    elif why in (TerminationCondition.unbounded, TerminationCondition.infeasibleOrUnbounded):
        # Which of the two: is there a flow at all? (A rational MILP with one and an unbounded relaxation is unbounded.)
        block.goal.deactivate()
        block.anything = pyo.Objective(expr=0.0)
        again = _run(block, time_limit, {}).termination_condition
        block.del_component("anything")
        block.goal.activate()
        if again == TerminationCondition.provenInfeasible:
            status = "infeasible"
        elif again == TerminationCondition.convergenceCriteriaSatisfied:
            status = "unbounded"
        else:
            why = again
    seconds = time.perf_counter() - started
    if status is not None:
        return Solution("infeasible" if status == "infeasible" else "unbounded", None, {}, compiled, seconds)
    if why != TerminationCondition.convergenceCriteriaSatisfied or results.solution_status == SolutionStatus.noSolution:
        raise LimitError(f"network {compiled.network.name}: HiGHS stopped with {why.name} ({time_limit:g} s allowed)")
    results.solution_loader.load_vars()
    values = compiled.values()
    objective = sum(float(factor) * values[key] for key, factor in compiled.network.objective.terms.items())
    if not math.isfinite(objective):
        raise LimitError(f"network {compiled.network.name}: HiGHS returned {objective}")
    return Solution("optimal", float(objective), values, compiled, seconds)


def _run(block: Any, time_limit: float, options: dict[str, Any]) -> Any:
    return Highs().solve(block, load_solutions=False, raise_exception_on_nonoptimal_result=False, rel_gap=0.0,
                         time_limit=time_limit, solver_options=OPTIONS | options)
