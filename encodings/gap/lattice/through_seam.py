"""A gap model solved by a back end of the solver seam: CP-SAT (integers: an exact proof) or Gurobi.

Flows are declared integers, which they may be. HiGHS has a way of its own (`highs`), with flows continuous.
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
from scipy.sparse import csr_matrix

from xplain.encodings.gap.lattice.highs import Note, Solved
from xplain.encodings.gap.lattice.model import GapModel
from xplain.encodings.solvers.choose import chosen
from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Proof, SolverName


def solve_through_seam(model: GapModel, solver: SolverName, seconds: float | None, note: Note) -> tuple[Solved, Proof]:
    """As `solve_with_highs`, and how far the bound can be trusted. MissingSolverError if it is not installed."""
    back_end, _ = chosen(solver)
    linear, bits, status = linear_of(model), dict[str, int](), "no answer"
    best: int | None = None
    upper: int | None = None
    with closing(back_end.run(linear, Order(seconds, 0, None, None, tight=True))) as said:
        for each in said:
            if isinstance(each, Ended):
                status = f"{each.stopped} {each.detail}".strip()
            elif each.point is not None:
                value = linear.offset + sum(int(linear.cost[int(name)]) * on for name, on in each.point.items())
                if best is None or value > best:
                    best, bits = value, {name: each.point[name] for name in map(str, range(len(model.bits)))}
            if each.bound is not None:
                upper = each.bound if upper is None else min(upper, each.bound)
            note(None if best is None else best * model.unit, None if upper is None else upper * model.unit)
    gap, bound = (None if value is None else value * model.unit for value in (best, upper))
    point = None if best is None else tuple(bool(value) for value in bits.values())
    return Solved(point, gap, bound, f"{back_end.name} {back_end.version()}: {status}", ""), back_end.proof


def linear_of(model: GapModel) -> Linear:
    """The model with every column an integer, named by its number, in units."""
    width = len(model.columns)
    rows = csr_matrix((model.value, model.column, model.row_start), shape=(len(model.rows), width)).tocsc()
    below = np.array([-np.inf if low is None else low for low in model.row_low])
    above = np.array([np.inf if high is None else high for high in model.row_high])
    return Linear(tuple(map(str, range(width))), np.zeros(width), np.ones(width), model.cost.astype(float),
                  model.offset, True, rows, below, above)
