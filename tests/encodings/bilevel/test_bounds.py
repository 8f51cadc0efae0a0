"""Bounds are proofs: they hold at every input tried, and each proof applies where it says."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tests.encodings.bilevel.brute_force import grid, mirrored, random_follower, solved
from xplain.encodings.bilevel import Follower, NoBoundError, NoOptimumError, follower
from xplain.encodings.bilevel.dual_bounds import DualBounds, dual_bounds
from xplain.encodings.bilevel.dual_proofs import basis, slater, truncation
from xplain.encodings.bilevel.interval import dot_range, rounded_up
from xplain.encodings.bilevel.normal import NormalForm, normal_form
from xplain.encodings.bilevel.primal_bounds import primal_bounds
from xplain.encodings.bilevel.proved_lp import Polyhedron

BOX = np.zeros(2), np.array([3.0, 2.0])


def best_dual(form: NormalForm, x: np.ndarray, bounds: DualBounds) -> float | None:
    """The dual's optimal value at x with the row duals within `bounds`, by SciPy."""
    m, n = form.num_rows, form.num_variables
    low, high = np.isfinite(form.lower), np.isfinite(form.upper)
    value = np.concatenate([form.b + form.B @ x, np.where(low, form.lower, 0.0), -np.where(high, form.upper, 0.0)])
    box = [*zip(bounds.low, bounds.high, strict=True), *((0, None if each else 0) for each in low),
           *((0, None if each else 0) for each in high)]
    found = linprog(-value, A_eq=np.hstack([form.A.T, np.eye(n), -np.eye(n)]), b_eq=form.c + form.C @ x, bounds=box,
                    method="highs")
    return -float(found.fun) if found.status == 0 and m else None


@pytest.mark.parametrize("seed", range(60))
def test_some_optimal_dual_lies_within_the_bounds_at_every_input(seed: int) -> None:
    given = random_follower(seed, sense="min" if seed % 2 else "max", objective_leader=seed % 3 == 0,
                            equality=seed % 5 == 0, free=seed % 7 == 0)
    form = normal_form(mirrored(given) if seed >= 40 else given, *BOX)
    try:
        bounds = dual_bounds(form, primal_bounds(form))
    except NoOptimumError:
        assert all(solved(form.source, np.array(x)).status != 0 for x in grid([(0, 1, 3), (0, 1, 2)]))
        return
    for x in grid([(0, 0.5, 1, 3), (0, 1, 2)]):
        primal = solved(form.source, np.array(x))
        if primal.status == 0:
            assert best_dual(form, np.array(x), bounds) == pytest.approx(float(primal.fun), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_slacks_and_variables_stay_within_their_bounds(seed: int) -> None:
    form = normal_form(random_follower(seed, sense="min"), *BOX)
    try:
        bounds = primal_bounds(form)
    except NoOptimumError:
        return
    for x in grid([(0, 1, 3), (0, 2)]):
        found = solved(form.source, np.array(x))
        if found.status == 0:
            rest = form.A @ found.x - form.b - form.B @ np.array(x)
            assert (rest <= bounds.slack + 1e-6)[~form.equal].all()
            assert (found.x <= bounds.high + 1e-6).all()
            assert (found.x >= bounds.low - 1e-6).all()


def one_row(**changes: object) -> NormalForm:
    given: dict[str, object] = {"objective": [3, 1], "matrix": [[1, 2]], "relations": "<=", "rhs": [0]}
    return normal_form(follower("f", "max", **({"rhs_leader": [[1, 0]]} | given | changes)), *BOX)  # type: ignore[arg-type]


def test_a_packing_row_is_truncated_at_the_best_profit_per_unit() -> None:
    assert truncation(one_row()).tolist() == [3.0]


@pytest.mark.parametrize("changes", [
    {"lower": [-np.inf, 0]},  # a free column must be covered with equality
    {"matrix": [[1, 2], [-1, 0]], "rhs": [0, 0], "rhs_leader": [[1, 0], [0, 0]]},  # lowering it uncovers a column
    {"relations": "="},
    {"matrix": [[1, -2]], "rhs": [-1]},  # a negative right-hand side rewards larger duals
])
def test_truncation_claims_nothing_else(changes: dict[str, object]) -> None:
    assert truncation(one_row(**changes))[0] == np.inf


def test_the_basis_bound_covers_every_basis() -> None:
    """All nonsingular square parts of random integer matrices, solved exactly enough by NumPy."""
    for seed in range(30):
        form = normal_form(random_follower(seed, sense="min"), *BOX)
        bound, (m, n) = basis(form), form.A.shape
        for order in range(1, min(m, n) + 1):
            for rows, columns in itertools.product(itertools.combinations(range(m), order),
                                                   itertools.combinations(range(n), order)):
                part = form.A[np.ix_(rows, columns)]
                if abs(np.linalg.det(part)) > 0.5:
                    dual = np.linalg.solve(part.T, form.c[list(columns)])
                    assert (np.abs(dual) <= bound[list(rows)] + 1e-9).all()


def test_the_basis_bound_needs_a_common_denominator() -> None:
    assert basis(one_row(matrix=[[1 / 3, 2]]))[0] == np.inf
    assert np.isfinite(basis(one_row(matrix=[[0.25, 2]]))[0])


def test_slater_bounds_what_has_room_for_every_input() -> None:
    form = normal_form(follower("f", "max", [1 / 3], [[1 / 7], [-1 / 3]], "<=", [5, 0], [[1, 0], [0, 1]]), *BOX)
    primal = primal_bounds(form)
    assert truncation(form)[0] == np.inf
    assert basis(form)[0] == np.inf
    assert slater(form, primal, 0, 1.0) <= 56 / 3 / 5 * 1.01  # the optimum is at most 8 * 7 / 3, the room 5 at y = 0


def test_real_data_without_any_proof_are_refused() -> None:
    pi = 3.14159265358979
    wild: Follower = follower("wild", "min", [1.0, pi], [[pi, -1.0], [-1.0, pi / 7]], ">=", [0, 0], [[1, 0], [-1, 1]],
                              upper=9)
    form = normal_form(wild, *BOX)
    with pytest.raises(NoBoundError, match="follower wild: no bound of the dual of row row0 can be proved"):
        dual_bounds(form, primal_bounds(form))


def test_hadamards_bound_overflows_with_a_message() -> None:
    """Chained rows with coefficients of 1000: basic duals grow by that factor per row."""
    n = 4
    matrix = np.eye(n) - 1000 * np.eye(n, k=1)
    form = normal_form(follower("chain", "min", np.ones(n), matrix, ">=", np.zeros(n), np.ones((n, 2)), upper=5), *BOX)
    with pytest.raises(NoBoundError, match=r"is .*e\+.* \(proof: (basis|polyhedron)\), beyond 1e\+06"):
        dual_bounds(form, primal_bounds(form))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_proved_maxima_are_upper_bounds_and_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, high, cost = rng.normal(size=(3, 4)), rng.random(3) * 5, rng.normal(size=4)
    proved = Polyhedron(rows, np.full(3, -np.inf), high, np.zeros(4), np.full(4, 10.0)).maximum(cost)
    found = -float(linprog(-cost, rows, high, bounds=[(0, 10)] * 4, method="highs").fun)
    assert found - 1e-7 <= proved <= found + 1e-5


def test_rounding_is_upwards() -> None:
    third = Fraction(1, 3)
    assert Fraction(rounded_up(third)) > third
    assert rounded_up(Fraction(10) ** 400) == float("inf")
    assert rounded_up(Fraction(1, 4)) == 0.25


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_intervals_enclose_every_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, z = np.sort(rng.normal(size=(2, 5)), axis=0), np.sort(rng.normal(size=(2, 5)), axis=0)
    low, high = dot_range(a[0], a[1], z[0], z[1], 0.1)
    ends = [sum(Fraction(float(f)) * Fraction(float(v)) for f, v in zip(one, other, strict=True)) + Fraction(0.1)
            for one in a for other in z]
    assert all(Fraction(low) <= each <= Fraction(high) for each in ends)
    infinite = np.array([np.inf, *z[1][1:]])
    assert dot_range(np.zeros(5), np.zeros(5), z[0], infinite) == (0.0, 0.0)
    assert dot_range(a[0], a[0], z[0], infinite)[1 if a[0][0] > 0 else 0] in (np.inf, -np.inf)
