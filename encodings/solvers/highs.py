"""HiGHS in this process. Its proofs are floating-point: it decides feasibility and bounds within tolerances."""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Proof, Seen
from xplain.encodings.solvers.rounding import integer_bound
from xplain.encodings.solvers.silent import silent_highs
from xplain.encodings.solvers.stream import stream

TIGHT = 1e-9  # feasibility and integrality; big-M up to 2^30 stay below half a tick
GAP = 0.5  # objective values are integers: closer than this is closed
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
        """Solve; incumbents as they are found, bounds as HiGHS logs them."""
        highs = _loaded(linear, order)

        def work(put: Callable[[Seen | Ended], None]) -> None:
            highs.cbMipImprovingSolution.subscribe(
                lambda event: put(Seen(point=linear.point(np.array(event.data_out.mip_solution)))))
            highs.cbMipLogging.subscribe(lambda event: put(Seen(bound=integer_bound(
                linear, event.data_out.mip_dual_bound))))
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
