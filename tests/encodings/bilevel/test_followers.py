"""Followers: what is accepted, what is refused, and the same follower from a Pyomo block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from drex_runtime.errors import InputError
from tests.encodings.bilevel.brute_force import optimum, random_follower
from xplain.encodings.bilevel import (
    Follower,
    NoOptimumError,
    ReplayError,
    choice,
    embed_direct,
    follower,
    follower_from_block,
    is_aligned,
    quantise,
    replay,
    rewrite,
)
from xplain.encodings.bilevel.replay import check_replayed

GOOD: dict[str, Any] = {"sense": "min", "objective": [1, 2], "matrix": [[1, 1]], "relations": ">=", "rhs": [1],
                        "rhs_leader": [[1]]}


@pytest.mark.parametrize(("changes", "field"), [
    ({"sense": "best"}, "sense"), ({"matrix": [[1, 1, 1]]}, "matrix"), ({"relations": ["<"]}, "relations"),
    ({"relations": ["<=", "<="]}, "relations"), ({"rhs": [np.nan]}, "rhs"), ({"objective": [1, np.inf]}, "objective"),
    ({"lower": [2, 0], "upper": 1}, "bounds"), ({"rhs_leader": [1]}, "rhs_leader"), ({"lower": np.inf}, "bounds"),
    ({"row_names": ("a", "b")}, "row_names"), ({"objective_leader": [[1]]}, "objective_leader"),
    ({"variable_names": ("y", "y")}, "names"), ({"objective": ["a"]}, "objective"),
    ({"matrix": [[1], [1, 2]]}, "matrix"), ({"rhs_leader": [[1], [1, 2]]}, "rhs_leader"),
    ({"constant": np.nan}, "constant")])
def test_bad_data_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"follower bad: .*{field}"):
        follower("bad", **(GOOD | changes))


def test_a_leader_without_bounds_is_named() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, None))
    with pytest.raises(InputError, match=r"leader: x = \(0, None\): expected finite bounds"):
        rewrite(model, follower("f", **GOOD), [model.x])


@pytest.mark.parametrize(("leaders", "table", "field"), [
    ((0, 0), [[0, 0]], "leaders"), (1, [0], "leaders"), (0, [7], "x"), (0, [], "table"), ((0,), [[0, 1]], "table")])
def test_bad_levels_are_named(leaders: Any, table: Any, field: str) -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 5))
    with pytest.raises(InputError, match=f"levels: {field} ="):
        quantise(model, [model.x], [choice(leaders, table)])


@pytest.mark.parametrize("seed", range(10))
def test_replay_is_scipys_optimum(seed: int) -> None:
    given = random_follower(seed, sense="min" if seed % 2 else "max", objective_leader=True, equality=seed % 3 == 0)
    for x in ((0.0, 0.0), (1.5, 2.0)):
        expected = optimum(given, np.array(x))
        if expected is None:
            with pytest.raises(NoOptimumError):
                replay(given, np.array(x))
        else:
            assert replay(given, np.array(x)).value == pytest.approx(expected)


def test_replay_tells_infeasible_from_unbounded() -> None:
    infeasible = follower("f", **(GOOD | {"upper": 0.25}))
    with pytest.raises(NoOptimumError) as caught:
        replay(infeasible, np.array([2.0]))
    assert caught.value.side == "infeasible"
    with pytest.raises(NoOptimumError) as caught:
        replay(follower("f", **(GOOD | {"sense": "max"})), np.array([2.0]))
    assert caught.value.side == "unbounded"


def test_a_claim_that_does_not_hold_is_an_error() -> None:
    given = follower("f", **GOOD)
    found = replay(given, np.array([2.0]))
    check_replayed(given, 3.0 + 1e-7, found, aligned=False)
    for claimed, aligned in ((3.1, False), (2.9, False), (2.9, True)):
        with pytest.raises(ReplayError, match=rf"claims {claimed}, solved again it is 3.0 \(tolerance 3.0e-06\)"):
            check_replayed(given, claimed, found, aligned=aligned)
    check_replayed(given, 3.1, found, aligned=True)  # an aligned follower stopped early; the replayed gap is larger


@pytest.mark.parametrize(("sense", "weight", "aligned"), [
    ("max", 1, True), ("max", -1, False), ("min", -1, True), ("min", 2, False)])
def test_a_follower_is_aligned_when_the_objective_pushes_its_way(sense: Any, weight: float, aligned: bool) -> None:
    assert is_aligned(follower("f", **(GOOD | {"sense": sense})), weight) is aligned


def same_in_pyomo(given: Follower) -> tuple[Any, list[Any]]:
    """A Pyomo block that states the same follower, with two inputs 0..3."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(given.num_leaders), bounds=(0, 3))
    x = list(model.x.values())
    model.inner = pyo.Block()
    model.inner.y = pyo.Var(range(len(given.objective)), bounds=lambda _, j: (
        None if np.isinf(given.lower[j]) else given.lower[j], None if np.isinf(given.upper[j]) else given.upper[j]))
    y = list(model.inner.y.values())
    model.inner.rows = pyo.ConstraintList()
    for row, relation, side, factors in zip(given.matrix, given.relations, given.rhs, given.rhs_leader, strict=True):
        rest = row @ y - side - factors @ x
        model.inner.rows.add(rest <= 0 if relation == "<=" else rest >= 0 if relation == ">=" else rest == 0)
    cost = (given.objective + given.objective_leader @ x) @ y + given.constant + given.constant_leader @ x
    model.inner.goal = pyo.Objective(expr=cost, sense=pyo.minimize if given.sense == "min" else pyo.maximize)
    return model, x


@pytest.mark.parametrize("seed", range(6))
def test_a_block_states_the_same_follower(seed: int) -> None:
    given = random_follower(seed, sense="max" if seed % 2 else "min", objective_leader=seed % 3 == 0, equality=True,
                            free=seed > 3)
    model, x = same_in_pyomo(given)
    read = follower_from_block(model.inner, x)
    for at in ((0.0, 0.0), (1.0, 2.0), (3.0, 0.5)):
        expected = optimum(given, np.array(at))
        if expected is not None:
            assert optimum(read, np.array(at)) == pytest.approx(expected)


def test_a_range_in_a_block_is_two_rows() -> None:
    model = pyo.ConcreteModel()
    model.x, model.y = pyo.Var(bounds=(0, 1)), pyo.Var()
    model.between = pyo.Constraint(expr=pyo.inequality(-1, model.y - model.x, 2))
    model.goal = pyo.Objective(expr=model.y)
    read = follower_from_block(model, [model.x], name="range")
    assert read.row_names == ("between:lower", "between:upper")
    assert [replay(read, np.array([each])).value for each in (0.0, 1.0)] == pytest.approx([-1, 0])


def test_blocks_that_are_no_linear_follower_are_refused() -> None:
    model = pyo.ConcreteModel()
    model.x, model.y, model.z = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1)), pyo.Var(domain=pyo.Binary)
    with pytest.raises(InputError, match="exactly one active objective"):
        follower_from_block(model, [model.x])
    model.goal = pyo.Objective(expr=model.y)
    for expression, expected in ((model.x * model.y <= 1, "no products"), (pyo.exp(model.y) <= 1, "affine"),
                                 (model.y + model.z <= 1, "a continuous variable")):
        model.row = pyo.Constraint(expr=expression)
        with pytest.raises(InputError, match=expected):
            follower_from_block(model, [model.x])
        model.del_component("row")


AT = np.array([1.0, 2.0])
WITH_OPTIMUM = [seed for seed in range(30)
                if optimum(random_follower(seed, sense="min", equality=True), AT) is not None][:6]


@pytest.mark.parametrize("seed", WITH_OPTIMUM)
def test_our_multipliers_satisfy_pyomos_kkt_conditions(seed: int) -> None:
    """An independent statement of the same system: Pyomo's core.kkt, at the point found with ours."""
    given = random_follower(seed, sense="min", equality=True)
    ours, x = pyo.ConcreteModel(), list[Any]()
    ours.x = pyo.Var(range(2), bounds=(0, 3))
    x = list(ours.x.values())
    made = rewrite(ours, given, x)
    for each, value in zip(x, AT, strict=True):
        each.fix(float(value))
    ours.goal = pyo.Objective(expr=0.0)
    pyo.SolverFactory("appsi_highs").solve(ours)
    theirs, inputs = same_in_pyomo(given)
    kkt = pyo.TransformationFactory("core.kkt")
    seen = [each for each in inputs if given.rhs_leader[:, each.index()].any()]
    kkt.apply_to(theirs.inner, parameterize_wrt=seen)
    for each, value in zip(inputs, AT, strict=True):
        each.set_value(float(value))
    for j, y in enumerate(theirs.inner.y.values()):
        y.set_value(pyo.value(made.y[j]))
        multipliers = kkt.get_multiplier_from_object(theirs.inner, y)
        for multiplier, side in zip(multipliers, ("at_lower", "at_upper"), strict=True):
            if multiplier is not None:
                multiplier.set_value(pyo.value(getattr(made.block, side)[j]))
    products = list[float]()
    for i, row in enumerate(theirs.inner.rows.values()):
        dual = pyo.value(made.block.dual[i])
        given_multipliers = kkt.get_multiplier_from_object(theirs.inner, row)
        if row.equality:
            given_multipliers.set_value(dual)
            continue
        for multiplier in given_multipliers:
            if multiplier is not None:
                multiplier.set_value(dual)
        products.append(dual * (pyo.value(row.body) - pyo.value(row.lower if row.has_lb() else row.upper)))
    for each in theirs.inner.kkt.stationarity_conditions.values():
        assert pyo.value(each.body) - pyo.value(each.lower) == pytest.approx(0.0, abs=1e-6)
    assert products == pytest.approx([0.0] * len(products), abs=1e-6)


def test_a_value_bilinear_in_a_continuous_input_is_refused() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 1))
    both = follower("both", **(GOOD | {"objective_leader": [[1], [0]], "upper": 4}))
    with pytest.raises(InputError, match="bilinear"):
        rewrite(model, both, [model.x])
    with pytest.raises(InputError, match="levels"):
        embed_direct(pyo.ConcreteModel(), both, [model.x])
