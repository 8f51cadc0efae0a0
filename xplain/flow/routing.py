"""Path flows of one topology solved again and again: the matrix is built once, an input only changes bounds.

    min sum_k s_k   subject to   sum_p f_kp + s_k = d_k,   sum over paths through link l of f_kp <= c_l,   f, s >= 0

Columns: the paths of every demand, then its unmet part. The network of `demand_pinning.network` states the same
program; this is its fast evaluation, and a test holds one to the other. HiGHS starts every solve afresh, so that a
result never depends on what was solved before.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import LimitError
from xplain.encodings.solvers.silent import silent_highs
from xplain.flow.topology import Pair, Topology, links_of, paths

Array: TypeAlias = NDArray[np.float64]
SNAP = 1e-6  # flows this close to a whole number are one: HiGHS works to 1e-9
SLACK = 1e-7  # an optimum used as a bound again; below SNAP


class Routing:
    """All paths of some demands over one topology. Immutable but for its solvers, one per thread."""

    def __init__(self, topology: Topology, pairs: tuple[Pair, ...], limit: int | None) -> None:
        self.topology, self.pairs = topology, pairs
        self.paths = tuple(paths(topology, pair, limit) for pair in pairs)
        self.columns = tuple((k, path) for k, found in enumerate(self.paths) for path in found)
        self.num_paths, self.num_pairs = len(self.columns), len(pairs)
        self.width = self.num_paths + self.num_pairs
        at = {link.ends: index for index, link in enumerate(topology.links)}
        self.capacity = np.array([float(link.capacity) for link in topology.links])
        self.use = np.zeros((len(at), self.width))  # link l on path column
        self.of = np.zeros((self.num_pairs, self.width))  # column of demand k
        self.length = np.zeros(self.width)
        for column, (k, path) in enumerate(self.columns):
            self.of[k, column], self.length[column] = 1.0, len(path) - 1
            self.use[[at[ends] for ends in links_of(path)], column] = 1.0
        self.unmet = np.zeros(self.width)
        self.unmet[self.num_paths:] = 1.0
        self.of[np.arange(self.num_pairs), self.num_paths + np.arange(self.num_pairs)] = 1.0
        self._local = threading.local()

    @cached_property
    def shortest(self) -> tuple[int | None, ...]:
        """Per demand, the column of its shortest path; None if its nodes are not connected."""
        first, at = list[int | None](), 0
        for found in self.paths:
            first.append(at if found else None)
            at += len(found)
        return tuple(first)

    def least_unmet(self, demand: Array, capacity: Array) -> tuple[float, Array]:
        """The least unmet demand and a flow (width) that reaches it, of all these with the fewest links used."""
        model = self._model("flow")
        model.rhs(demand, capacity, np.inf)
        flow = model.solve(self.unmet)
        least = float(flow[self.num_paths:].sum())
        model.rhs(demand, capacity, least + SLACK)
        return least, snapped(model.solve(self.length))

    def nearest(self, demand: Array, least: float, near: Array) -> Array:
        """Of all flows with that unmet demand, one whose columns differ least in sum from `near` (width)."""
        model = self._model("change")  # columns: what is added to `near`, then what is taken off it
        model.rhs(demand - self.of @ near, self.capacity - self.use @ near, least + SLACK - float(self.unmet @ near))
        model.upper(np.concatenate([np.full(self.width, np.inf), near]))
        change = model.solve(np.ones(2 * self.width))
        return snapped(near + change[:self.width] - change[self.width:])

    def extreme(self, demand: Array, least: float, column: int, sign: float) -> float:
        """The least (sign 1) or largest (-1) flow in a column over all flows with that unmet demand."""
        model = self._model("flow")
        model.rhs(demand, self.capacity, least + SLACK)
        cost = np.zeros(self.width)
        cost[column] = sign
        return float(model.solve(cost)[column])

    def _model(self, kind: str) -> _Model:
        """This thread's solver for plain flows or for changes of one."""
        found: _Model | None = getattr(self._local, kind, None)
        if found is None:
            rows = np.vstack([self.of, self.use, self.unmet])
            found = _Model(rows if kind == "flow" else np.hstack([rows, -rows]), self.num_pairs)
            setattr(self._local, kind, found)
        return found


class _Model:
    """Rows: one equation per demand, one bound per link, one on the sum of what is unmet."""

    def __init__(self, rows: Array, num_pairs: int) -> None:
        import highspy  # not at the top: it cannot live in a process with OR-tools

        self._highs, self._rows, self._pairs = silent_highs(), len(rows), num_pairs
        self._width = rows.shape[1]
        for name, value in (("output_flag", False), ("primal_feasibility_tolerance", 1e-9),
                            ("dual_feasibility_tolerance", 1e-9), ("presolve", "off"), ("solver", "simplex")):
            self._highs.setOptionValue(name, value)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self._width, self._rows
        lp.col_cost_, lp.col_lower_ = np.zeros(self._width), np.zeros(self._width)
        lp.col_upper_ = np.full(self._width, np.inf)
        lp.row_lower_, lp.row_upper_ = np.full(self._rows, -np.inf), np.full(self._rows, np.inf)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = self._width, self._rows
        where = [np.flatnonzero(rows[:, j]) for j in range(self._width)]
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum([len(each) for each in where])]).astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate(where).astype(np.int32)
        lp.a_matrix_.value_ = np.concatenate([rows[each, j] for j, each in enumerate(where)])
        self._highs.passModel(lp)
        self._row_index, self._index = np.arange(self._rows, dtype=np.int32), np.arange(self._width, dtype=np.int32)
        self._zero = np.zeros(self._width)
        self._optimal = highspy.HighsModelStatus.kOptimal

    def rhs(self, demand: Array, capacity: Array, unmet_at_most: float) -> None:
        """The right-hand sides of one input."""
        low = np.concatenate([demand, np.full(len(capacity) + 1, -np.inf)])
        self._highs.changeRowsBounds(self._rows, self._row_index, low, np.concatenate([demand, capacity,
                                                                                      [unmet_at_most]]))

    def upper(self, bounds: Array) -> None:
        """Upper bounds of the columns."""
        self._highs.changeColsBounds(self._width, self._index, self._zero, bounds)

    def solve(self, cost: Array) -> Array:
        """The cheapest flow. It exists: everything can stay unmet."""
        self._highs.changeColsCost(self._width, self._index, cost)
        self._highs.clearSolver()
        self._highs.run()
        if self._highs.getModelStatus() != self._optimal:
            status = self._highs.modelStatusToString(self._highs.getModelStatus())
            raise LimitError(f"routing: HiGHS stopped with {status}; smaller capacities and demands may help")
        return np.array(self._highs.getSolution().col_value)


def snapped(flow: Array) -> Array:
    """Whole numbers where the solver means them, nothing below 0."""
    whole = np.round(flow)
    return np.asarray(np.maximum(np.where(np.abs(flow - whole) < SNAP, whole, flow), 0.0))
