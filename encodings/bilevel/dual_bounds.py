"""Bounds of a follower's dual variables that some optimal dual respects at every input of the leader.

The proofs of `dual_proofs` first; then one LP per dual over the dual polyhedron within those bounds, jointly with the
leader's input (which enters A'lambda + alpha - beta = c + C x linearly). Reduced costs alpha - beta = c + C x -
A'lambda follow from the row duals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xplain.encodings.bilevel.dual_proofs import basis, slater, truncation
from xplain.encodings.bilevel.errors import NoBoundError, NoOptimumError
from xplain.encodings.bilevel.follower import Array
from xplain.encodings.bilevel.interval import dot_range
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import EVERYWHERE, PrimalBounds
from xplain.encodings.bilevel.proved_lp import Polyhedron

Proof = Literal["none", "truncation", "basis", "slater", "polyhedron"]
MAX_BIG_M = 1e6  # times HiGHS's integrality tolerance of 1e-9 this leaks 1e-3, which the replay would still catch


@dataclass(frozen=True, eq=False)
class DualBounds:
    """lambda in `low`..`high` (m); c + C x - A'lambda = alpha - beta in `reduced_low`..`reduced_high` (n).

    `proofs` (m): which proof gave the bound farther from zero.
    """

    low: Array
    high: Array
    reduced_low: Array
    reduced_high: Array
    proofs: tuple[Proof, ...]


def dual_bounds(form: NormalForm, primal: PrimalBounds) -> DualBounds:
    """Raises NoBoundError for a row dual without a (usable) bound, NoOptimumError if the dual is infeasible
    everywhere.
    """
    m, n, p = form.num_rows, form.num_variables, len(form.leader_low)
    has_lower, has_upper = np.isfinite(form.lower), np.isfinite(form.upper)
    polyhedron = Polyhedron(
        np.hstack([form.A.T, -form.C]), np.where(has_lower, -np.inf, form.c), np.where(has_upper, np.inf, form.c),
        np.concatenate([np.where(form.equal, -np.inf, 0.0), form.leader_low]),
        np.concatenate([np.full(m, np.inf), form.leader_high]))
    if polyhedron.solve(np.zeros(m + p))[0] == "infeasible":
        raise NoOptimumError(form.source.name, "unbounded", f"{EVERYWHERE} (or infeasible: its dual has no point)")
    proofs = _from_proofs(form, primal, polyhedron)
    unit = np.eye(m + p)
    for i in range(m):
        most, least = polyhedron.maximum(unit[i]), polyhedron.minimum(unit[i])
        if max(most, -least) < max(polyhedron.high[i], -polyhedron.low[i]):
            proofs[i] = "polyhedron"
        polyhedron.tighten(i, least, most)
    low, high = polyhedron.low[:m].copy(), polyhedron.high[:m].copy()
    for i in range(m):
        _require(form, i, max(float(high[i]), -float(low[i])), proofs[i])
    reduced_low, reduced_high = np.zeros(n), np.zeros(n)
    for j in range(n):
        cost = np.concatenate([-form.A[:, j], form.C[j]])
        # The rows of the polyhedron bound it by themselves where alpha or beta does not exist.
        reduced_high[j] = np.nextafter(polyhedron.maximum(cost) + form.c[j], np.inf) if has_lower[j] else 0.0
        reduced_low[j] = np.nextafter(polyhedron.minimum(cost) + form.c[j], -np.inf) if has_upper[j] else 0.0
    return DualBounds(low, high, reduced_low, reduced_high, tuple(proofs))


def greatest_value(form: NormalForm, dual: DualBounds) -> float:
    """Proved upper bound of all optimal values: the dual objective over its bounds (inf: none), by interval
    arithmetic.
    """
    at_lower, at_upper = np.isfinite(form.lower), np.isfinite(form.upper)
    reduced = np.concatenate([dual.reduced_high[at_lower], -dual.reduced_low[at_upper]])
    least, most = form.over_leaders(form.b, form.B)
    bounds = np.concatenate([form.lower[at_lower], -form.upper[at_upper]])
    return dot_range(np.concatenate([least, bounds]), np.concatenate([most, bounds]),
                     np.concatenate([dual.low, np.zeros(len(reduced))]),
                     np.concatenate([dual.high, np.maximum(reduced, 0.0)]))[1]


def _from_proofs(form: NormalForm, primal: PrimalBounds, polyhedron: Polyhedron) -> list[Proof]:
    """Narrow the polyhedron's duals to the best proof per row and side; which proof gave the side farther out."""
    by_truncation, by_basis = truncation(form), basis(form)
    proofs = list[Proof]()
    for i in range(form.num_rows):
        above: dict[Proof, float] = {"truncation": float(by_truncation[i]), "basis": float(by_basis[i])}
        below: dict[Proof, float] = {"basis": float(by_basis[i])} if form.equal[i] else {"none": 0.0}
        if not np.isfinite(by_truncation[i]):
            above["slater"] = slater(form, primal, i, 1.0)
            if form.equal[i]:
                below["slater"] = slater(form, primal, i, -1.0)
        high, low = _least(above), _least(below)
        polyhedron.tighten(i, -below[low], above[high])
        proof, bound = (high, above[high]) if above[high] >= below[low] else (low, below[low])
        proofs.append(proof if np.isfinite(bound) else "none")
    return proofs


def _least(bounds: dict[Proof, float]) -> Proof:
    return min(bounds, key=lambda proof: bounds[proof])


def _require(form: NormalForm, row: int, bound: float, proof: Proof) -> None:
    name, follower = form.source.row_names[row], form.source.name
    if not np.isfinite(bound):
        raise NoBoundError(
            f"follower {follower}: no bound of the dual of row {name} can be proved (it is no packing row, its "
            "coefficients have no common denominator, no point is strictly feasible for every input, and the dual "
            "polyhedron is unbounded); use integer coefficients, or variables and inputs with finite bounds")
    if bound > MAX_BIG_M:
        raise NoBoundError(
            f"follower {follower}: the best proved bound of the dual of row {name} is {bound:.3g} (proof: {proof}), "
            f"beyond {MAX_BIG_M:.0e}: a floating-point solver could not hold complementarity; use smaller "
            "coefficients, fewer coupled rows, or packing rows")
