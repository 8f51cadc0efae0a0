"""HiGHS in this process. Its proofs are floating-point, and none of them is believed alone.

Of 520 small time-stepped programs with known optima, HiGHS 1.15.1 and 1.16.0 called one to three infeasible after they
had found points (with presolve), or proved one or two wrong optima (without); mostly they were right with another seed
or with presolve the other way, and others have reported the like of many versions. "Infeasible" is what proves a
witness the worst, so an optimum or an infeasibility counts only if two runs claim it that share neither presolve nor
seed, or two of three where the first two differ. A claim that there was no time to confirm gives no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Proof, Seen
from xplain.encodings.solvers.rounding import integer_bound
from xplain.encodings.solvers.silent import silent_highs
from xplain.encodings.solvers.stream import stream

TIGHT = 1e-9  # feasibility and integrality; big-M up to 2^30 stay below half a tick
GAP = 0.5  # objective values are integers: closer than this is closed
RUNS = ("choose", "off", "choose")  # presolve of each run
LEAST_SECONDS = 0.01
GRACE = 1.0  # seconds after its limit at which it is interrupted


class HighsBackEnd:
    """Open-source branch and cut (highs.dev)."""

    name = "HiGHS"
    proof: Proof = "floating-point"

    def missing(self) -> str | None:
        """`highspy` is a dependency of this package."""
        return None if find_spec("highspy") else "highspy is not installed: pip install highspy"

    def version(self) -> str:
        """Of the library."""
        try:
            return version("highspy")
        except PackageNotFoundError:
            return "of unknown version"

    def run(self, linear: Linear, order: Order) -> Generator[Seen | Ended, None, None]:
        """Solve until two runs agree (see `agreed`); points as they are found, the bound at the end."""
        ends = None if order.seconds is None else perf_counter() + order.seconds
        claims, points = list[Ended](), False
        for number, presolve in enumerate(RUNS):
            left = None if ends is None else max(0.0, ends - perf_counter())
            if claims and left is not None and left < LEAST_SECONDS:
                break
            for said in _once(linear, replace(order, seconds=left, seed=order.seed + number), presolve):
                if isinstance(said, Ended):
                    claims.append(said)
                else:
                    points = True
                    yield said
            if claims[-1].stopped in ("time-limit", "failed") or agreed(claims, points) is not None:
                break
        yield agreed(claims, points) or undecided(claims, points)


def agreed(claims: Sequence[Ended], points: bool) -> Ended | None:
    """What two runs say alike, or None. `points`: whether any run found one, which refutes "infeasible"."""
    for number, one in enumerate(claims):
        claimed = one.stopped == "optimal" or (one.stopped == "infeasible" and not points)
        if claimed and any((one.stopped, one.bound) == (other.stopped, other.bound) for other in claims[:number]):
            return one
    return None


def undecided(claims: Sequence[Ended], points: bool) -> Ended:
    """What is left to say: of one claim and no time for another run, both; of several, that they differ."""
    made = [each for each in claims if each.stopped in ("optimal", "infeasible")]
    last = claims[-1]
    if not made:
        return last
    if len(made) > 1 or (made[0].stopped == "infeasible" and points):
        told = ", ".join(f"{each.stopped} {'' if each.bound is None else each.bound}".strip() for each in made)
        return Ended("failed", None, f"HiGHS contradicts itself ({told}{', with points' if points else ''}): nothing "
                                     "is proved; use CP-SAT")
    why = "time limit" if last.stopped == "time-limit" or len(claims) == 1 else last.detail
    return Ended("time-limit", None, f"one run says {made[0].stopped}, the second, which would confirm it, did not end "
                                     f"({why})")


def _once(linear: Linear, order: Order, presolve: str) -> Generator[Seen | Ended, None, None]:
    highs = _loaded(linear, order)
    highs.setOptionValue("presolve", presolve)

    def work(put: Callable[[Seen | Ended], None]) -> None:
        highs.cbMipImprovingSolution.subscribe(
            lambda event: put(Seen(point=linear.point(np.array(event.data_out.mip_solution)))))
        highs.run()
        if highs.getSolution().value_valid:
            put(Seen(point=linear.point(highs.getSolution().col_value)))
        put(_ended(highs, linear))

    yield from stream(work, highs.cancelSolve, None if order.seconds is None else order.seconds + GRACE)


def _loaded(linear: Linear, order: Order) -> Any:
    import highspy

    highs = silent_highs()
    highs.HandleUserInterrupt = True  # lets `cancelSolve` stop it
    options: dict[str, Any] = {"log_to_console": False, "output_flag": order.log is not None, "mip_rel_gap": 0.0,
                               "mip_abs_gap": GAP, "random_seed": order.seed, "mip_feasibility_tolerance": TIGHT,
                               "primal_feasibility_tolerance": TIGHT, "dual_feasibility_tolerance": TIGHT}
    if order.seconds is not None:
        options["time_limit"] = order.seconds
    if order.log is not None:
        options["log_file"] = str(order.log)
    if order.threads is not None:
        options["threads"] = order.threads
    for name, value in options.items():
        highs.setOptionValue(name, value)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = linear.width, len(linear.below)
    lp.col_cost_, lp.offset_ = linear.cost, float(linear.offset)
    lp.sense_ = highspy.ObjSense.kMaximize if linear.maximize else highspy.ObjSense.kMinimize
    lp.col_lower_, lp.col_upper_ = linear.low, linear.high
    lp.row_lower_ = np.where(np.isinf(linear.below), -highspy.kHighsInf, linear.below)
    lp.row_upper_ = np.where(np.isinf(linear.above), highspy.kHighsInf, linear.above)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = linear.width, len(linear.below)
    lp.a_matrix_.start_, lp.a_matrix_.index_ = linear.rows.indptr, linear.rows.indices
    lp.a_matrix_.value_ = linear.rows.data
    lp.integrality_ = [highspy.HighsVarType.kInteger] * linear.width
    highs.passModel(lp)
    return highs


def _ended(highs: Any, linear: Linear) -> Ended:
    import highspy

    status, bound = highs.getModelStatus(), integer_bound(linear, highs.getInfo().mip_dual_bound)
    kinds = highspy.HighsModelStatus
    if status == kinds.kOptimal:
        return Ended("optimal", bound)
    if status == kinds.kInfeasible:
        return Ended("infeasible")
    if status in (kinds.kTimeLimit, kinds.kInterrupt):
        return Ended("time-limit", bound, "time limit")
    return Ended("failed", bound, f"HiGHS stopped with {highs.modelStatusToString(status)}")
