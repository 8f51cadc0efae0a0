"""Upper bounds of linear functions over a polyhedron, proved by weak duality in exact rational arithmetic.

HiGHS finds row multipliers pi; for *any* pi, over all z with row_low <= R z <= row_high and low <= z <= high,

    cost'z = pi'(R z) + (cost - R'pi)'z <= sum_i sup pi_i [row_low_i, row_high_i] + sum_j sup (cost - R'pi)_j [low_j,
    high_j],

so rounding in the solver can make the bound weaker, never wrong (Neumaier and Shcherbina, "Safe bounds in linear and
mixed-integer linear programming", Math. Program. 99, 2004). Multipliers are tried as the nearest simple fractions
first: with integer data these are the exact ones, and a free column leaves no residual.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

import highspy
import numpy as np

from xplain.encodings.bilevel.follower import Array
from xplain.encodings.bilevel.interval import rounded_up
from xplain.encodings.solvers.silent import silent_highs

Outcome = Literal["optimal", "infeasible", "unbounded", "other"]
MAX_DENOMINATOR = 10**5
DROP = Fraction(1, 10**7)  # a multiplier this small is taken for rounding


class Polyhedron:
    """{z : row_low <= rows z <= row_high, low <= z <= high}; rows (r, n)."""

    def __init__(self, rows: Array, row_low: Array, row_high: Array, low: Array, high: Array) -> None:
        self.rows, self.row_low, self.row_high = rows, row_low, row_high
        self.low, self.high = low.copy(), high.copy()
        self._sparse = [[(int(j), Fraction(float(row[j]))) for j in np.flatnonzero(row)] for row in rows]
        self._solver = highs(rows, row_low, row_high, low, high)

    def tighten(self, index: int, low: float, high: float) -> None:
        """Narrow the bounds of one column."""
        self.low[index], self.high[index] = max(low, self.low[index]), min(high, self.high[index])
        self._solver.changeColBounds(index, float(self.low[index]), float(self.high[index]))

    def solve(self, cost: Array) -> tuple[Outcome, Array]:
        """Maximise cost'z: what the solver says and its row multipliers (r)."""
        n = len(cost)
        self._solver.changeColsCost(n, np.arange(n, dtype=np.int32), cost)
        self._solver.run()
        return outcome(self._solver), np.array(self._solver.getSolution().row_dual, dtype=np.float64)

    def optimum(self, cost: Array) -> tuple[Outcome, Array]:
        """Maximise cost'z: what the solver says and its point (n), floating-point; of use only if "optimal"."""
        found, _ = self.solve(cost)
        return found, np.array(self._solver.getSolution().col_value, dtype=np.float64)

    def maximum(self, cost: Array) -> float:
        """A proved upper bound of cost'z; inf if none is found."""
        found, multipliers = self.solve(cost)
        if found != "optimal":
            return self._bound(cost, [Fraction(0)] * len(self._sparse))  # the box alone
        return min(self._bound(cost, [_simple(pi) for pi in multipliers]),
                   self._bound(cost, [Fraction(float(pi)) for pi in multipliers]))

    def minimum(self, cost: Array) -> float:
        """A proved lower bound of cost'z; -inf if none is found."""
        return -self.maximum(-cost)

    def _bound(self, cost: Array, multipliers: list[Fraction]) -> float:
        residual = [Fraction(float(each)) for each in cost]
        total = Fraction(0)
        for row, pi in enumerate(multipliers):
            side = self.row_high[row] if pi > 0 else self.row_low[row]
            if not pi or not math.isfinite(side):
                continue  # a multiplier of the wrong sign is left out: any other choice is as valid
            total += pi * Fraction(float(side))
            for column, factor in self._sparse[row]:
                residual[column] -= pi * factor
        for column, rest in enumerate(residual):
            if rest:
                side = self.high[column] if rest > 0 else self.low[column]
                if not math.isfinite(side):
                    return math.inf
                total += rest * Fraction(float(side))
        return rounded_up(total)


def highs(rows: Array, row_low: Array, row_high: Array, low: Array, high: Array) -> Any:
    """A silent, single-threaded HiGHS that maximises over these rows and columns (costs zero)."""
    solver = silent_highs()
    for option, value in (("output_flag", False), ("threads", 1), ("primal_feasibility_tolerance", 1e-9),
                          ("dual_feasibility_tolerance", 1e-9)):
        solver.setOptionValue(option, value)
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = rows.shape
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(rows.shape[1]), low, high
    lp.row_lower_, lp.row_upper_ = row_low, row_high
    at, columns = np.nonzero(rows)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=rows.shape[0]))]).astype(np.int32)
    lp.a_matrix_.index_, lp.a_matrix_.value_ = columns.astype(np.int32), rows[at, columns]
    solver.passModel(lp)
    return solver


def outcome(solver: Any) -> Outcome:
    """How a solve ended; where presolve cannot tell infeasible from unbounded, simplex without it decides."""
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kUnboundedOrInfeasible:
        solver.setOptionValue("presolve", "off")
        solver.run()
        solver.setOptionValue("presolve", "choose")
        status = solver.getModelStatus()
    names: dict[Any, Outcome] = {
        highspy.HighsModelStatus.kOptimal: "optimal",
        highspy.HighsModelStatus.kModelEmpty: "optimal",
        highspy.HighsModelStatus.kInfeasible: "infeasible",
        highspy.HighsModelStatus.kUnbounded: "unbounded",
    }
    return names.get(status, "other")


def _simple(value: float) -> Fraction:
    """The nearest fraction with a small denominator, if it is the same number up to rounding."""
    exact = Fraction(float(value))
    near = exact.limit_denominator(MAX_DENOMINATOR)
    return near if abs(near - exact) <= DROP * max(Fraction(1), abs(exact)) else exact
