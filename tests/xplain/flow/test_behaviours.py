"""What each behaviour says, that they combine, and that nothing is implied."""

from __future__ import annotations

import math
from typing import Any

import pytest

from drex_runtime.errors import InputError, RecordError
from xplain.flow.behaviour import AllEqual, Behaviour, Copy, Multiply, Pick, Sink, Source, Split
from xplain.flow.check import check
from xplain.flow.compiled import compile_network
from xplain.flow.network import OUTSIDE, Arc, Network, Node, Objective, absorbed, supply
from xplain.flow.rules import Condition, Quantity
from xplain.flow.solve import solve


def star(*behaviours: Behaviour, ins: int = 1, outs: int = 2, upper: float = 10) -> Network:
    """A node "n" with edges from a0.. and to b0.., whose other ends do nothing."""
    tails, heads = [f"a{k}" for k in range(ins)], [f"b{k}" for k in range(outs)]
    return Network("star", (*map(Node, [*tails, *heads]), Node("n", behaviours)),
                   tuple(Arc(tail, "n", upper=upper) for tail in tails)
                   + tuple(Arc("n", head, upper=upper) for head in heads))


def violated(network: Network, **flows: float) -> set[str]:
    """Which behaviours a flow violates, flows named by the star's outer nodes (s: supply, t: absorbed)."""
    named = {("n", name) if name[0] == "b" else (name, "n"): value for name, value in flows.items() if name[0] in "ab"}
    named |= {(supply if name == "s" else absorbed)("n"): flows[name] for name in ("s", "t") if name in flows}
    return {each.what for each in check(network, named)}


@pytest.mark.parametrize(("behaviours", "fits", "breaks", "name"), [
    ((), {"a0": 3, "b0": 7}, None, ""),
    ((Split(),), {"a0": 3, "b0": 1, "b1": 2}, {"a0": 3, "b0": 3, "b1": 3}, "split"),
    ((Pick(),), {"a0": 3, "b1": 3}, {"a0": 3, "b0": 1, "b1": 2}, "pick"),
    ((Copy(),), {"a0": 3, "b0": 3, "b1": 3}, {"a0": 3, "b0": 1, "b1": 2}, "copy"),
    ((Multiply(2),), {"a0": 3, "b0": 6, "b1": 6}, {"a0": 3, "b0": 3, "b1": 3}, "multiply"),
    ((AllEqual(),), {"a0": 3, "b0": 3, "b1": 3}, {"a0": 3, "b0": 3, "b1": 2}, "all_equal"),
    ((Source(1, 4),), {"a0": 9, "b0": 1, "b1": 2, "s": 3}, {"a0": 9, "b0": 1, "b1": 2, "s": 4}, "source"),
    ((Source(1, 4),), {"b0": 1, "b1": 2}, {"b0": 2, "b1": 3}, "bounds"),
    ((Sink(0, 4),), {"a0": 3, "b0": 9, "t": 3}, {"a0": 3, "t": 2}, "sink"),
    ((Sink(0, 4),), {"a0": 3}, {"a0": 5}, "bounds"),
    ((Source(1, 4), Split()), {"a0": 3, "b0": 5, "s": 2}, {"a0": 3, "b0": 3, "s": 2}, "split"),
    ((Source(1, 4), Copy()), {"a0": 3, "b0": 5, "b1": 5, "s": 2}, {"a0": 3, "b0": 5, "b1": 3, "s": 2}, "copy"),
    ((Sink(0, 4), Split()), {"a0": 3, "b0": 1, "t": 2}, {"a0": 3, "b0": 3, "t": 2}, "split"),
    ((Sink(0, 4), Copy()), {"a0": 3, "b0": 3, "b1": 3, "t": 3}, {"a0": 3, "b0": 3, "b1": 3, "t": 0}, "copy"),
    ((Source(1, 4), Pick(), Sink()), {"a0": 1, "s": 1, "t": 2}, {"a0": 1, "s": 1, "t": 1, "b0": 1}, "pick"),
    ((Split(), AllEqual()), {}, {"a0": 2, "b0": 1, "b1": 1}, "all_equal"),
])
def test_each_behaviour_holds_and_is_named_when_it_does_not(behaviours: tuple[Behaviour, ...], fits: dict[str, float],
                                                            breaks: dict[str, float] | None, name: str) -> None:
    network = star(*behaviours)
    assert violated(network, **fits) == set()
    if breaks is not None:
        assert violated(network, **breaks) == {name}


def most(network: Network, terms: dict[Quantity, float], *, sense: Any = "max") -> tuple[str, float | None]:
    """Status and optimum, the same with and without merging."""
    given = Network(network.name, network.nodes, network.arcs, network.rules, Objective(sense, terms))
    one, two = solve(given), solve(given, merged=False)
    assert one.status == two.status
    assert one.objective == (None if two.objective is None else pytest.approx(two.objective))
    return one.status, one.objective


BOTH: dict[Quantity, float] = {("n", "b0"): 1, ("n", "b1"): 1}


@pytest.mark.parametrize(("behaviours", "optimum"), [
    ((), 20), ((Split(),), 10), ((Pick(),), 10), ((Copy(),), 20), ((Multiply(3),), 20), ((Multiply(0.25),), 5),
    ((AllEqual(),), 20), ((Split(), AllEqual()), 0), ((Source(0, 3), Split()), 13), ((Source(0, 3),), 3),
    ((Source(2, 2), Pick()), 10), ((Sink(4, 5), Split()), 6), ((Copy(), Pick()), 0), ((Sink(), Pick()), 10)])
def test_the_most_that_leaves_a_node(behaviours: tuple[Behaviour, ...], optimum: float) -> None:
    assert most(star(*behaviours), BOTH) == ("optimal", pytest.approx(optimum))


def test_neither_capacity_nor_conservation_is_implied() -> None:
    assert most(star(upper=math.inf), BOTH)[0] == "unbounded"
    assert most(star(Split(), upper=math.inf), BOTH)[0] == "unbounded"
    assert most(star(Copy(), Sink(0, 2), upper=math.inf), BOTH) == ("optimal", pytest.approx(4))


def test_a_pick_of_a_fixed_supply_is_one_of_its_edges() -> None:
    network = star(Source(5, 5), Pick(), ins=0, outs=3)
    for wanted in ("b0", "b1", "b2"):
        terms = {("n", other): 1.0 if other == wanted else -0.1 for other in ("b0", "b1", "b2")}
        assert most(network, terms) == ("optimal", pytest.approx(5))


def test_a_pick_needs_a_bound_and_says_whose() -> None:
    with pytest.raises(InputError, match="Network star: n: pick b0 = n -> b0"):
        compile_network(star(Pick(), upper=math.inf))
    assert most(star(Pick(), Sink(0, 0), ins=0, upper=math.inf), BOTH) == ("optimal", 0)  # implied by no supply


def test_flows_may_be_negative_where_an_edge_says_so() -> None:
    network = Network("signed", (Node("a"), Node("n", (Multiply(-2),)), Node("b")),
                      (Arc("a", "n", upper=4), Arc("n", "b", lower=-math.inf)))
    assert most(network, {("n", "b"): 1}, sense="min") == ("optimal", pytest.approx(-8))
    assert most(Network("unsigned", network.nodes, (Arc("a", "n", upper=4), Arc("n", "b"))), {("a", "n"): 1}) \
        == ("optimal", pytest.approx(0))


def test_loops_and_cycles_are_flows_too() -> None:
    loop = Network("loop", (Node("n", (Multiply(0.5), Source(1, 1))),), (Arc("n", "n"),))
    assert most(loop, {("n", "n"): 1}) == ("optimal", pytest.approx(1))  # x = (x + 1) / 2
    around = Network("cycle", (Node("a", (Split(),)), Node("b", (Split(),))), (Arc("a", "b", upper=3), Arc("b", "a")))
    assert most(around, {("b", "a"): 1}) == ("optimal", pytest.approx(3))


def test_contradictions_are_infeasible_whether_merging_finds_them_or_the_solver() -> None:
    assert most(star(Source(3, 3), Sink(2, 2), Copy(), ins=0), {}) == ("infeasible", None)
    assert most(star(Source(11, 11), Copy(), ins=0), {}) == ("infeasible", None)  # above the edges' bounds
    assert compile_network(star(Source(3, 3), Sink(2, 2), Copy(), ins=0)).contradictions


def test_networkx_holds_the_graph_and_its_metadata() -> None:
    network = Network("tiny", (Node("a", (Source(), Split()), {"site": "north"}), Node("b")),
                      (Arc("a", "b", upper=7, metadata={"medium": "fibre"}),))
    assert dict(network.graph.nodes["a"]) == {"behaviours": ("source", "split"), "site": "north"}
    assert dict(network.graph.edges["a", "b"]) == {"lower": 0, "upper": 7, "medium": "fibre"}


@pytest.mark.parametrize(("nodes", "arcs", "rules", "field"), [
    (("a", "a"), (), (), "nodes = a"), (("a",), (("a", "z"),), (), "arcs a -> z = z"),
    (("a", "b"), (("a", "b"), ("a", "b")), (), "arcs = a -> b"),
    (("a", "b"), (("a", "b"),), (Condition("c", {("b", "a"): 1}, ">=", 1),), "c = \\('b', 'a'\\)"),
    (("a",), (), (Condition("c", {}, ">=", 1), Condition("c", {}, ">=", 1)), "rules = c"),
    (("a",), (), (Condition("c", {"d": 1}, ">=", 1), Condition("d", {}, ">=", 1)), "c = d")])
def test_what_is_no_network_is_named(nodes: tuple[str, ...], arcs: tuple[tuple[str, str], ...], rules: Any,
                                     field: str) -> None:
    with pytest.raises(RecordError, match=f"Network bad: {field}"):
        Network("bad", tuple(map(Node, nodes)), tuple(Arc(*each) for each in arcs), rules)


def test_what_is_no_node_is_named() -> None:
    for make, field in ((lambda: Node(OUTSIDE), "name"), (lambda: Node("n", (Split(), Split())), "n.behaviours"),
                        (lambda: Source(3, 2), "bounds"), (lambda: Arc("a", "b", math.nan), "bounds"),
                        (lambda: Multiply(math.inf), "factor"), (lambda: Condition("c", {}, ">=", 0, 0), "step")):
        with pytest.raises(RecordError, match=field):
            make()
    with pytest.raises(InputError, match="flows = z -> n"):
        check(star(), {("z", "n"): 1})
