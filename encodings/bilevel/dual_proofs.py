"""Three proofs that some optimal dual solution is bounded, whatever the input of the leader.

A big-M on a dual variable is safe if for every input with an optimum *some* optimal dual respects it: the whole dual
polyhedron is mostly unbounded. The proofs combine: `basis` holds for every basic optimal dual, `truncation` only
moves an optimal dual towards zero, `slater` holds for every optimal dual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from xplain.encodings.bilevel.follower import Array
from xplain.encodings.bilevel.interval import rounded_up
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import PrimalBounds
from xplain.encodings.bilevel.proved_lp import MAX_DENOMINATOR, Polyhedron

MAX_SCALE = 10**6  # rows whose coefficients share no denominator up to this are taken for irrational


def truncation(form: NormalForm) -> Array:
    """Upper bound per row (inf: not this way) for packing rows.

    Write the columns as y' >= 0 (distance from a finite bound) and the row as a y' <= b. If b >= 0 and every column
    with a_j > 0 has no negative entry and no equality row, then an optimal dual above max_j (profit_j / a_j) can be
    lowered to it: those columns stay covered by this row alone, the others gain, and the dual objective b'lambda does
    not rise. Where a >= 0, b < 0 means an infeasible follower. Max-flow over paths: capacity and demand duals are at
    most 1.
    """
    at_lower = np.isfinite(form.lower)
    bounded = at_lower | np.isfinite(form.upper)
    orient = np.where(at_lower, 1.0, -1.0)
    reference = np.where(at_lower, form.lower, np.where(bounded, form.upper, 0.0))
    packing = -form.A * orient
    _, profit = form.over_leaders(-form.c * orient, -form.C * orient[:, None])
    shifted = [exact_dot(row, reference) - Fraction(float(side)) for row, side in zip(form.A, form.b, strict=True)]
    least_rhs, _ = form.over_leaders(shifted, -form.B)
    covers = bounded & (packing[~form.equal] >= 0).all(axis=0) & (packing[form.equal] == 0).all(axis=0)
    found = np.full(form.num_rows, np.inf)
    for i in np.flatnonzero(~form.equal):
        row = packing[i]
        if not (bounded[row != 0].all() and covers[row > 0].all() and ((row >= 0).all() or least_rhs[i] >= 0)):
            continue
        ratios = (Fraction(float(profit[j])) / Fraction(float(row[j])) for j in np.flatnonzero(row > 0))
        found[i] = rounded_up(max(ratios, default=Fraction(0)))
    return np.asarray(np.maximum(found, 0.0))


def exact_dot(row: Array, z: Iterable[Fraction | float]) -> Fraction:
    """row'z without rounding."""
    return sum((Fraction(float(a)) * Fraction(each) for a, each in zip(row, z, strict=True) if a), Fraction(0))


def basis(form: NormalForm) -> Array:
    """Bound of |lambda_i| per row (inf: none) over all basic duals, by Cramer's rule and Hadamard's inequality.

    A basic dual solves A_RC'lambda_R = c_C with A_RC nonsingular. With integer entries |det A_RC| >= 1, and the other
    determinant is at most the product of its rows' (or columns') norms. Needs integer rows, up to a common
    denominator per row.
    """
    m, none = form.num_rows, np.full(form.num_rows, np.inf)
    order = min(m, form.num_variables)
    rows, scale = list[list[int]](), list[int]()
    for row in form.A:
        exact = [Fraction(float(each)) for each in row]
        factor = math.lcm(*(each.denominator for each in exact))
        if factor > MAX_SCALE:
            return none
        rows.append([int(each * factor) for each in exact])
        scale.append(factor)
    low, high = form.over_leaders(form.c, form.C)
    costs = [Fraction(float(max(-a, b, 0.0)))**2 for a, b in zip(low, high, strict=True)]
    norms = [sum(each * each for each in row) for row in rows]
    columns = [max(Fraction(1), cost + sum(row[j]**2 for row in rows)) for j, cost in enumerate(costs)]
    by_columns = math.prod(sorted(columns, reverse=True)[:order])
    largest_costs = sum(sorted(costs, reverse=True)[:order], Fraction(0))
    found = list[float]()
    for i in range(m):
        others = sorted((norms[k] for k in range(m) if k != i and norms[k]), reverse=True)
        square = min(by_columns, largest_costs * math.prod(others[:max(0, order - 1)]))
        root = Fraction(math.isqrt(math.ceil(square * 10**12)) + 1, 10**6)  # rounded up at the sixth digit
        found.append(rounded_up(root * scale[i]) if square else 0.0)
    return np.array(found)


def slater(form: NormalForm, primal: PrimalBounds, row: int, direction: float) -> float:
    """Bound of direction * lambda_row (inf: none) over all optimal duals, by a point that is feasible for every input.

    If y^ satisfies all other rows and bounds for every x, and a_row y^ - b_row(x) >= t (direction 1) or <= -t (-1),
    weak duality gives direction * lambda_row * t <= sup_x c(x)'y^ - least optimal value.
    """
    if not math.isfinite(primal.least_value):
        return math.inf
    least, most = form.over_leaders(form.b, form.B)
    others = np.arange(form.num_rows) != row
    if (form.equal & others & (least != most)).any():
        return math.inf  # no one point is on a row that moves
    n, limit = form.num_variables, max(1.0, float(np.abs(most).max()), float(np.abs(least).max()))
    rows = np.hstack([form.A, np.zeros((form.num_rows, 1))])
    row_low, row_high = most.copy(), np.where(form.equal, most, np.inf)
    rows[row, n] = -direction
    if direction > 0:
        row_high[row] = np.inf
    else:
        row_low[row], row_high[row] = -np.inf, least[row]
    cost = np.zeros(n + 1)
    cost[n] = 1.0
    lower, upper = np.append(form.lower, 0.0), np.append(form.upper, limit)
    outcome, point = Polyhedron(rows, row_low, row_high, lower, upper).optimum(cost)
    if outcome != "optimal":
        return math.inf
    y = [Fraction(float(each)).limit_denominator(MAX_DENOMINATOR) for each in point[:n]]
    activity = [exact_dot(line, y) for line in form.A]
    for j, each in enumerate(y):
        if not form.lower[j] <= each <= form.upper[j]:
            return math.inf
    for k in np.flatnonzero(others):
        if activity[k] < Fraction(float(most[k])) or (form.equal[k] and activity[k] != Fraction(float(most[k]))):
            return math.inf
    t = activity[row] - Fraction(float(most[row])) if direction > 0 else Fraction(float(least[row])) - activity[row]
    if t <= 0:
        return math.inf
    low, high = form.over_leaders(form.c, form.C)
    worst = sum((max(Fraction(float(a)) * each, Fraction(float(b)) * each)
                 for a, b, each in zip(low, high, y, strict=True)), Fraction(0))
    return max(0.0, rounded_up((worst - Fraction(primal.least_value)) / t))
