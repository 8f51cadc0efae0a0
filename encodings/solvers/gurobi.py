"""Gurobi, where `gurobipy` and a licence are installed. Its proofs are floating-point.

Untested in this project's CI, which has no licence: every point is verified in integers like those of any solver.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import Any

from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Proof, Seen
from xplain.encodings.solvers.rounding import integer_bound
from xplain.encodings.solvers.stream import stream

TIGHT = 1e-9
GAP = 0.5


class GurobiBackEnd:
    """Commercial branch and cut (gurobi.com)."""

    name = "Gurobi"
    proof: Proof = "floating-point"

    def missing(self) -> str | None:
        """It is no dependency of this package."""
        return None if find_spec("gurobipy") else ("gurobipy is not installed: pip install gurobipy, and put a licence "
                                                   "where it looks for one (GRB_LICENSE_FILE)")

    def version(self) -> str:
        """Of the library."""
        import gurobipy

        return ".".join(map(str, gurobipy.gurobi.version()))

    def run(self, linear: Linear, order: Order) -> Generator[Seen | Ended, None, None]:
        """Solve; a licence that does not suffice ends it as failed, in Gurobi's words."""
        import gurobipy

        models: list[Any] = []

        def work(put: Callable[[Seen | Ended], None]) -> None:
            try:
                with gurobipy.Env(params=_parameters(order)) as env, gurobipy.Model(env=env) as model:
                    columns = _load(model, linear)
                    models.append(model)
                    model.optimize(_reporting(linear, columns, put))
                    if model.SolCount:
                        put(Seen(point=linear.point(columns.X)))
                    put(_ended(model, linear))
            except gurobipy.GurobiError as error:
                put(Ended("failed", None, f"Gurobi: {error}"))

        def stop() -> None:
            for model in models:
                model.terminate()

        yield from stream(work, stop)


def _parameters(order: Order) -> dict[str, Any]:
    found: dict[str, Any] = {"OutputFlag": int(order.log is not None), "LogToConsole": 0, "MIPGap": 0.0,
                             "MIPGapAbs": GAP, "IntFeasTol": TIGHT, "FeasibilityTol": TIGHT, "OptimalityTol": TIGHT,
                             "Seed": order.seed, "IntegralityFocus": 1}
    if order.seconds is not None:
        found["TimeLimit"] = order.seconds
    if order.threads is not None:
        found["Threads"] = order.threads
    if order.log is not None:
        found["LogFile"] = str(order.log)
    return found


def _load(model: Any, linear: Linear) -> Any:
    import gurobipy

    columns = model.addMVar(linear.width, lb=linear.low, ub=linear.high, vtype=gurobipy.GRB.INTEGER)
    sense = gurobipy.GRB.MAXIMIZE if linear.maximize else gurobipy.GRB.MINIMIZE
    model.setObjective(linear.cost @ columns + linear.offset, sense)
    rows = linear.rows.tocsr()
    equal = linear.below == linear.above
    at_most, at_least = ~equal & (linear.above < float("inf")), ~equal & (linear.below > float("-inf"))
    for chosen, kind, side in ((equal, "=", linear.above), (at_most, "<", linear.above), (at_least, ">", linear.below)):
        if chosen.any():
            model.addMConstr(rows[chosen], columns, kind, side[chosen])
    return columns


def _reporting(linear: Linear, columns: Any, put: Callable[[Seen | Ended], None]) -> Callable[[Any, int], None]:
    import gurobipy

    def callback(model: Any, where: int) -> None:
        if where == gurobipy.GRB.Callback.MIPSOL:
            put(Seen(point=linear.point(model.cbGetSolution(columns)),
                     bound=integer_bound(linear, model.cbGet(gurobipy.GRB.Callback.MIPSOL_OBJBND))))
        elif where == gurobipy.GRB.Callback.MIP:
            put(Seen(bound=integer_bound(linear, model.cbGet(gurobipy.GRB.Callback.MIP_OBJBND))))

    return callback


def _ended(model: Any, linear: Linear) -> Ended:
    import gurobipy

    kinds = gurobipy.GRB
    if model.Status == kinds.INFEASIBLE:
        return Ended("infeasible")
    bound = integer_bound(linear, model.ObjBound)
    if model.Status == kinds.OPTIMAL:
        return Ended("optimal", bound)
    if model.Status in (kinds.TIME_LIMIT, kinds.INTERRUPTED):
        return Ended("time-limit", bound, "time limit")
    return Ended("failed", bound, f"Gurobi stopped with status {model.Status}")
