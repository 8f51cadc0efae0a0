"""The rule layer: every solution of the compiled rules obeys them, and every flow that obeys them is a solution."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from drex_runtime.errors import InputError
from xplain.flow.behaviour import Copy, Pick, Sink, Source, Split
from xplain.flow.check import check, indicators
from xplain.flow.compiled import compile_network
from xplain.flow.network import Arc, Network, Node, Objective, supply
from xplain.flow.rules import Choice, Condition, IfThen, Priority, Quantity, Rule, used
from xplain.flow.solve import solve
from xplain.problems.flows import Edge

X, Y, Z = ("x", "to x"), ("y", "to y"), ("z", "to z")


def three(*rules: Rule, objective: Objective = Objective()) -> Network:  # noqa: B008
    """Three edges of 0..4, tied by nothing but the rules."""
    nodes = tuple(Node(name) for edge in (X, Y, Z) for name in edge)
    return Network("three", nodes, tuple(Arc(*edge, upper=4) for edge in (X, Y, Z)), rules, objective)


def feasible(network: Network, flows: dict[Edge, int]) -> bool:
    """Whether the compiled program has this flow, with merging and without."""
    fixed = replace(network, arcs=tuple(replace(arc, lower=flows[arc.edge], upper=flows[arc.edge])
                                        for arc in network.arcs))
    one, two = (solve(fixed, merged=merged).status == "optimal" for merged in (True, False))
    assert one == two
    return one


SMALL = Condition("x is small", {X: 1}, "<=", 2)
BIG = Condition("x + y is big", {X: 1, Y: 1}, ">=", 6)
RULES: tuple[tuple[Rule, ...], ...] = (
    (SMALL, IfThen("then", ("x is small",), {Y: 1, X: -1}, "=", 0)),
    (SMALL, BIG, IfThen("then", ("x is small", "x + y is big"), {Z: 1}, ">=", 3)),
    (SMALL, IfThen("then", ("x is small",), {Z: 1}, "<=", 1), IfThen("also", (), {Y: 1}, ">=", 1)),
    (SMALL, BIG, Priority("first", (Choice(Y, ("x is small",)), Choice(Z, ()), Choice(X, ())))),
    (used("y is used", (Y,)), IfThen("then", ("y is used",), {Z: 1}, ">=", 4)),
    (used("any", (X, Y)), Condition("both", {"any": 2, Z: 1}, ">=", 4), IfThen("then", ("both",), {X: 1}, "=", 3)),
)


@pytest.mark.parametrize("rules", RULES)
def test_the_program_has_exactly_the_flows_that_obey_the_rules(rules: tuple[Rule, ...]) -> None:
    network, kinds = three(*rules), set[bool]()
    for values in itertools.product((0, 2, 3, 4), repeat=3):
        flows = dict(zip((X, Y, Z), values, strict=True))
        obeys = check(network, flows) == ()
        assert feasible(network, flows) == obeys, (flows, check(network, flows))
        kinds.add(obeys)
    assert kinds == {True, False}


def test_indicators_count_in_the_objective() -> None:
    terms: dict[Quantity, float] = {"x is used": 1, "y is used": 1, X: 0.01}
    network = three(used("x is used", (X,)), used("y is used", (Y,)),
                    IfThen("some", (), {X: 1, Y: 1}, ">=", 5), objective=Objective("min", terms))
    found = solve(network)
    assert found.objective == pytest.approx(2.01)
    flows = {edge: found.values[edge] for edge in (X, Y, Z)}
    assert indicators(network, flows) == {"x is used": 1.0, "y is used": 1.0}


def test_a_condition_between_holding_and_failing_is_a_violation() -> None:
    (found,) = check(three(Condition("c", {X: 1}, ">=", 3)), {X: 2.5})
    assert (found.where, found.what) == ("c", "condition")


def test_violations_name_the_rule() -> None:
    network = three(SMALL, IfThen("copy x", ("x is small",), {Y: 1, X: -1}, "=", 0),
                    Priority("y before z", (Choice(Y, ()), Choice(Z, ()))))
    found = check(network, {X: 1, Y: 2, Z: 1})
    assert {(each.where, each.what) for each in found} == {("copy x", "if-then"), ("y before z", "priority")}


def test_a_rule_over_flows_without_bounds_says_which() -> None:
    loose = Network("loose", (Node("a"), Node("b")), (Arc("a", "b"),), (Condition("c", {("a", "b"): 1}, ">=", 3),))
    with pytest.raises(InputError, match="Network loose: c = a -> b"):
        compile_network(loose)


def test_priority_with_a_pick_is_first_come_first_served() -> None:
    """Three unit balls, two bins of room 1 and 2 opened in order: the second is used only when the first is full."""
    balls, bins = ("p", "q", "r"), {"one": 1, "two": 2}
    nodes = [*(Node(ball, (Source(1, 1), Pick())) for ball in balls),
             *(Node(name, (Sink(0, room),)) for name, room in bins.items())]
    rules: list[Rule] = []
    for at, ball in enumerate(balls):
        for name, room in bins.items():
            rules.append(Condition(f"{ball} {name}", {(other, name): 1 for other in balls[:at]}, "<=", room - 1))
        rules.append(Priority(ball, tuple(Choice((ball, name), (f"{ball} {name}",)) for name in bins)))
    network = Network("bins", tuple(nodes), tuple(Arc(ball, name) for ball in balls for name in bins), tuple(rules))
    found = solve(network)
    assert [found.values[ball, "one"] for ball in balls] == pytest.approx([1, 0, 0])
    full = solve(replace(network, nodes=(*nodes, Node("s", (Source(1, 1), Pick()))),
                         arcs=(*network.arcs, Arc("s", "one"))))
    assert full.status == "infeasible"


def test_conditions_that_the_data_decide_bring_no_binaries() -> None:
    nodes = (Node("n", (Source(3, 3), Split())), Node("m", (Copy(),)))
    network = Network("decided", nodes, (Arc("n", "m"),), (Condition("many", {supply("n"): 1}, ">=", 2),
                                                           IfThen("then", ("many",), {("n", "m"): 1}, ">=", 1)))
    compiled = compile_network(network)
    assert (compiled.after.variables, compiled.after.binaries, compiled.after.rows) == (0, 0, 0)
    assert solve(network).values["many"] == 1
