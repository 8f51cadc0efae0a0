"""A gap model solved by HiGHS in this process (which must not import OR-tools)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import floor
from time import perf_counter
from typing import Any

import numpy as np

from xplain.encodings.gap.lattice.model import GapModel
from xplain.encodings.solvers.highs import LEAST_SECONDS, RUNS, agreed, undecided
from xplain.encodings.solvers.result import Ended
from xplain.encodings.solvers.silent import silent_highs

# The objective is an integer at every integer point, so a bound less than one above the incumbent proves it. What is
# left of 1 is the tolerance granted to floating-point arithmetic.
TOLERANCE = 1e-3
OPTIMAL, TIME = "Optimal", "ime limit"  # HiGHS's words
Note = Callable[[int | None, int | None], None]


@dataclass(frozen=True)
class Solved:
    """What HiGHS says, in ticks: the bits of its best point (None: none), its gap, an upper bound, and its log.

    `status`: HiGHS's own word.
    """

    bits: tuple[bool, ...] | None
    gap: int | None
    upper: int | None
    status: str
    log: str


def solve_with_highs(model: GapModel, seconds: float | None, note: Note) -> Solved:
    """Maximise within `seconds`; `note(lower, upper)` is told about better bounds as they are found.

    A claim counts only if two runs make it (see `encodings.solvers.highs`).
    """
    ends, tried, claims = None if seconds is None else perf_counter() + seconds, list[Solved](), list[Ended]()
    for number, presolve in enumerate(RUNS):
        left = None if ends is None else max(0.0, ends - perf_counter())
        if tried and left is not None and left < LEAST_SECONDS:
            break
        tried.append(_once(model, left, note, presolve, number))
        claims.append(_claim(tried[-1]))
        if claims[-1].stopped != "optimal" or agreed(claims, False) is not None:
            break
    same = agreed(claims, False)
    if same is not None:
        return next(each for each in tried if each.status == OPTIMAL and each.upper == same.bound)
    if len(claims) == 1 and claims[0].stopped != "optimal":
        return tried[0]
    best = max((each for each in tried if each.gap is not None), key=lambda each: each.gap or 0, default=tried[-1])
    return replace(best, upper=None, status=undecided(claims, False).detail)


def _claim(tried: Solved) -> Ended:
    """What a run says; every input is feasible, so "infeasible" is a failure."""
    if tried.status == OPTIMAL:
        return Ended("optimal", tried.upper)
    return Ended("time-limit" if TIME in tried.status else "failed", tried.upper, tried.status)


def _once(model: GapModel, seconds: float | None, note: Note, presolve: str, seed: int) -> Solved:
    import highspy as library  # not at the top: it cannot live in a process with OR-tools

    highspy: Any = library
    solver = silent_highs()
    lines = list[str]()
    options: dict[str, Any] = {"log_to_console": False, "mip_rel_gap": 0.0, "mip_abs_gap": 1 - 2 * TOLERANCE,
                               "threads": 1, "presolve": presolve, "random_seed": seed}
    if seconds is not None:
        options["time_limit"] = float(seconds)
    for name, value in options.items():
        solver.setOptionValue(name, value)

    def bound(value: float) -> int | None:
        limit = abs(value) < 1e15
        return model.unit * floor(value + TOLERANCE) if limit else None

    def incumbent(value: float) -> int | None:
        return model.unit * round(value) if abs(value) < 1e15 else None

    def report(event: Any) -> None:
        note(incumbent(event.data_out.mip_primal_bound), bound(event.data_out.mip_dual_bound))

    solver.cbLogging.subscribe(lambda event: lines.append(event.message))
    for callback in (solver.cbMipLogging, solver.cbMipImprovingSolution):
        callback.subscribe(report)
    solver.passModel(_as_lp(model, highspy))
    solver.run()
    info, status = solver.getInfo(), solver.modelStatusToString(solver.getModelStatus())
    log = "".join(lines)
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Solved(None, None, bound(info.mip_dual_bound), status, log)
    point = solver.getSolution().col_value
    bits = tuple(value > 0.5 for value in point[:len(model.bits)])
    return Solved(bits, incumbent(info.objective_function_value), bound(info.mip_dual_bound), status, log)


def _as_lp(model: GapModel, highspy: Any) -> Any:
    num, infinity = len(model.columns), highspy.kHighsInf
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = num, len(model.rows)
    lp.sense_, lp.offset_ = highspy.ObjSense.kMaximize, float(model.offset)
    lp.col_cost_ = model.cost.astype(np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(num), np.ones(num)
    lp.row_lower_ = np.array([-infinity if low is None else low for low in model.row_low], np.float64)
    lp.row_upper_ = np.array([infinity if high is None else high for high in model.row_high], np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = model.row_start.astype(np.int32)
    lp.a_matrix_.index_ = model.column.astype(np.int32)
    lp.a_matrix_.value_ = model.value.astype(np.float64)
    kinds = (highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous)
    lp.integrality_ = [kinds[0]] * len(model.bits) + [kinds[1]] * (num - len(model.bits))
    return lp
