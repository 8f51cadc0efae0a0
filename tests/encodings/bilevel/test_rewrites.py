"""Both rewrites against each other and against SciPy at every combination of levels, on random linear followers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from drex_runtime.errors import InputError
from tests.encodings.bilevel.brute_force import best, grid, mirrored, optimum, random_follower, solved
from xplain.encodings.bilevel import (
    Follower,
    Method,
    NoBoundError,
    NoOptimumError,
    bilevel_program,
    choice,
    follower,
    gap_program,
    quantise,
    rewrite,
    solve,
)

LEVELS = [(0.0, 1.0, 3.0), (0.0, 2.0)]
METHODS: list[Method] = ["kkt", "primal-dual"]
KINDS = [dict(zip(("sense", "objective_leader", "equality", "free"), each, strict=True)) for each in [
    ("min", False, False, False), ("max", False, False, False), ("min", True, False, False),
    ("max", False, True, False), ("min", False, False, True), ("max", True, True, True)]]


def leaders(highs: tuple[float, ...] = (3.0, 2.0)) -> tuple[Any, list[Any]]:
    """A model with one continuous input 0..high each."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(len(highs)), bounds=lambda _, k: (0, highs[k]))
    return model, list(model.x.values())


def against(given: Follower, method: Method, *, quantised: bool = True) -> float | None:
    """The leader works against the follower; None if at no input it has an optimum."""
    model, x = leaders()
    levels = quantise(model, x, [choice(k, each) for k, each in enumerate(LEVELS)]) if quantised else None
    weight = 1.0 if given.sense == "min" else -1.0
    try:
        return solve(bilevel_program(model, x, [(weight, given)], method=method, levels=levels)).objective
    except NoOptimumError:  # nowhere in the box
        return None


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_kkt_primal_dual_and_enumeration_agree_on_the_same_levels(seed: int, kind: dict[str, Any]) -> None:
    given = random_follower(seed, **kind) if seed < 9 else mirrored(random_follower(seed, **kind))
    expected = best([(1.0 if given.sense == "min" else -1.0, given)], grid(LEVELS))
    for method in METHODS:
        assert against(given, method) == (None if expected is None else pytest.approx(expected, abs=1e-5)), method


@pytest.mark.parametrize("seed", range(24))
def test_followers_that_may_be_unbounded_are_solved_or_refused(seed: int) -> None:
    """Primal-dual needs no bound of slacks and always answers; KKT answers the same or says which bound it lacks."""
    given = random_follower(seed, sense="max" if seed % 2 else "min", closed=False, equality=seed % 3 == 0)
    expected = best([(1.0 if given.sense == "min" else -1.0, given)], grid(LEVELS))
    assert against(given, "primal-dual") == (None if expected is None else pytest.approx(expected, abs=1e-5))
    try:
        found = against(given, "kkt")
    except NoBoundError as error:
        assert "has no proved bound" in str(error)
    else:
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-5))


@pytest.mark.parametrize("kind", [each for each in KINDS if not each["objective_leader"]], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_a_continuous_input_does_at_least_as_well_as_its_levels(seed: int, kind: dict[str, Any]) -> None:
    given = random_follower(seed, **kind)
    quantised, continuous = against(given, "primal-dual"), against(given, "kkt", quantised=False)
    if quantised is not None:
        assert continuous is not None
        assert continuous >= quantised - 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(12))
def test_the_gap_of_two_followers_is_that_of_enumeration(seed: int, method: Method) -> None:
    one, other = (random_follower(at, sense="max", name=name) for at, name in ((seed, "one"), (100 + seed, "other")))
    expected = best([(1.0, one), (-1.0, other)], grid(LEVELS))
    model, x = leaders()
    levels = quantise(model, x, [choice(k, each) for k, each in enumerate(LEVELS)])
    try:
        program = gap_program(model, x, one, other, method=method, levels=levels)
        found = solve(program).objective
        assert program.forms == {"one": "direct", "other": method}
    except NoOptimumError:
        found = None
    if expected is None:
        assert found is None
    elif found is None:  # the benchmark is unbounded at some input: there is no largest gap
        assert any(solved(one, np.array(each)).status == 3 for each in grid([(0, 3), (0, 2)]))
    else:
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_among_optimal_answers_the_leaders_favourite_is_taken(seed: int, method: Method) -> None:
    """A follower indifferent between answers is degenerate in its dual; the leader's objective decides (optimistic)."""
    given = random_follower(seed, sense="max", equality=seed % 2 == 1)
    goal = np.random.default_rng(seed).integers(-2, 3, len(given.objective)).astype(float)
    expected = list[float]()
    for each in grid(LEVELS):
        found = solved(given, np.array(each))
        if found.status == 0:
            chosen = solved(given, np.array(each), goal=-goal, value=float(found.fun))
            if chosen.status != 0:
                pytest.fail(f"{chosen.message}: random_follower({seed}) has an unbounded face; take another seed")
            expected.append(-float(chosen.fun))
    model, x = leaders()
    levels = quantise(model, x, [choice(k, each) for k, each in enumerate(LEVELS)])
    if not expected:
        return
    made = rewrite(model, given, x, method=method, levels=levels)
    model.goal = pyo.Objective(expr=sum(factor * y for factor, y in zip(goal, made.y, strict=True)), sense=pyo.maximize)
    pyo.SolverFactory("appsi_highs").solve(model)
    assert pyo.value(model.goal) == pytest.approx(max(expected), abs=1e-5)
    at = np.array([pyo.value(each) for each in x])
    assert pyo.value(made.value) == pytest.approx(optimum(given, at), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_input_in_the_objective_alone_may_be_continuous_for_kkt(method: Method) -> None:
    # max_x min_y (1 - x) y1 + x y2 over y1 + y2 = 1: the leader hedges at x = 1/2.
    given = follower("hedge", "min", [1, 0], [[1, 1]], "=", [1], [[0]], objective_leader=[[-1], [1]])
    model, x = leaders((1.0,))
    if method == "kkt":
        answer = solve(bilevel_program(model, x, [(1.0, given)]))
        assert answer.objective == pytest.approx(0.5)
        return
    levels = quantise(model, x, [choice(0, (0, 0.25, 1))])
    answer = solve(bilevel_program(model, x, [(1.0, given)], method=method, levels=levels))
    assert answer.objective == pytest.approx(0.25)


def test_a_follower_without_optimum_is_named() -> None:
    infeasible = follower("stuck", "min", [1], [[1], [-1]], ">=", [2, -1], [[0], [0]])
    unbounded = follower("endless", "max", [1, 1], [[1, -1]], "<=", [3], [[1]])
    for given, why in ((infeasible, "stuck is infeasible for every input"),
                       (unbounded, "endless is unbounded for every input")):
        for method in METHODS:
            model, x = leaders((1.0,))
            with pytest.raises(NoOptimumError, match=why):
                rewrite(model, given, x, method=method)


def test_a_direct_follower_without_bound_is_named() -> None:
    unbounded = follower("endless", "max", [1, 1], [[1, -1]], "<=", [3], [[1]])
    model, x = leaders((1.0,))
    program = bilevel_program(model, x, [(1.0, unbounded)])
    with pytest.raises(NoOptimumError, match="endless is unbounded for some input"):
        solve(program)


def test_inputs_at_which_the_follower_has_no_optimum_are_left_out() -> None:
    """min y with y >= x, y <= 1: infeasible above 1; the worst of the others is 1."""
    given = follower("short", "min", [1], [[1]], ">=", [0], [[1]], upper=1)
    for method in METHODS:
        model, x = leaders((3.0,))
        levels = quantise(model, x, [choice(0, (0, 0.5, 2, 3))])
        answer = solve(bilevel_program(model, x, [(1.0, given)], method=method, levels=levels))
        assert answer.objective == pytest.approx(0.5)
    model, x = leaders((3.0,))
    assert solve(bilevel_program(model, x, [(1.0, given)])).objective == pytest.approx(1.0)


def test_primal_dual_needs_levels_for_what_it_multiplies() -> None:
    given = follower("f", "min", [1], [[1]], ">=", [0], [[1]])
    model, x = leaders((3.0,))
    with pytest.raises(InputError, match="expected levels"):
        rewrite(model, given, x, method="primal-dual")
    model, x = leaders((3.0,))
    x[0].fix(2.0)
    assert solve(bilevel_program(model, x, [(1.0, given)], method="primal-dual")).objective == pytest.approx(2.0)


def test_a_big_m_without_proof_is_refused() -> None:
    """Where x = 0 all y >= 1 are optimal, elsewhere only y = 1: no M for the slack of y >= 1, whose dual is x."""
    given = follower("wide", "min", [0], [[1]], ">=", [1], [[0]], objective_leader=[[1]])
    model, x = leaders((3.0,))
    with pytest.raises(NoBoundError, match=r"follower wide: .*row row0 has no proved bound; give variables"):
        rewrite(model, given, x)


def test_a_big_m_beyond_floating_point_is_refused() -> None:
    given = follower("huge", "min", [1], [[1], [1]], [">=", "<="], [0, 1e9], [[1], [0]], upper=1e9)
    model, x = leaders((3.0,))
    with pytest.raises(NoBoundError, match=r"reaches 1e\+09, beyond 1e\+06"):
        rewrite(model, given, x)
