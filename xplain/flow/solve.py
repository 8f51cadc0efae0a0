"""The best flow of a network, by HiGHS in this process (floating point)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs
from pyomo.core.expr.visitor import identify_variables

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
    status, results = _answer(compiled, time_limit)
    seconds = time.perf_counter() - started
    if status != "optimal":
        return Solution(status, None, {}, compiled, seconds)
    if results is not None:
        results.solution_loader.load_vars()
    values = compiled.values()
    objective = sum(float(factor) * values[key] for key, factor in compiled.network.objective.terms.items())
    return Solution("optimal", float(objective), values, compiled, seconds)


def _answer(compiled: Compiled, time_limit: float) -> tuple[Status, Any]:
    """Status and the solver's results; no results where merging has decided everything."""
    block = compiled.block
    if compiled.contradictions:
        return "infeasible", None
    if not len(block.row) and not list(identify_variables(block.goal.expr)):
        return "optimal", None  # HiGHS has no answer to an empty program
    results = _run(block, time_limit)
    why = results.termination_condition
    if why in (TerminationCondition.unbounded, TerminationCondition.infeasibleOrUnbounded,
               TerminationCondition.provenInfeasible):
        # Is there a flow at all? (A rational MILP with one and an unbounded relaxation is unbounded; HiGHS 1.16 calls
        # some of these infeasible, so that is asked again without an objective too.)
        if not len(block.row):
            return "unbounded", None
        block.goal.deactivate()
        block.anything = pyo.Objective(expr=0.0)
        why = _run(block, time_limit).termination_condition
        block.del_component("anything")
        block.goal.activate()
        if why == TerminationCondition.convergenceCriteriaSatisfied:
            return "unbounded", None
    if why == TerminationCondition.provenInfeasible:
        return "infeasible", None
    if why != TerminationCondition.convergenceCriteriaSatisfied or results.solution_status == SolutionStatus.noSolution:
        raise LimitError(f"network {compiled.network.name}: HiGHS stopped with {why.name} ({time_limit:g} s allowed)")
    return "optimal", results


def _run(block: Any, time_limit: float) -> Any:
    return Highs().solve(block, load_solutions=False, raise_exception_on_nonoptimal_result=False, rel_gap=0.0,
                         time_limit=time_limit, solver_options=OPTIONS)
