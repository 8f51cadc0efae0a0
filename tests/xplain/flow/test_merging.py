"""Merging: names are kept, sizes are reported, nothing that was possible is lost. (Equal optima: see sufficiency.)"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyomo.environ as pyo
import pytest

from drex_runtime.errors import InputError
from tests.scale import scaled
from xplain.flow.behaviour import AllEqual, Copy, Multiply, Pick, Sink, Source, Split
from xplain.flow.compiled import compile_network
from xplain.flow.demand_pinning import five_node
from xplain.flow.network import Arc, Network, Node, Objective, absorbed, supply
from xplain.flow.packing_network import PACKING, Case
from xplain.flow.pinning_network import PINNING, demand_edge, fixed, is_small
from xplain.flow.pinning_network import Case as Pinning
from xplain.flow.solve import solve


def chain(length: int, *, factor: float = 2) -> Network:
    """A source, multiplied again and again, into a sink."""
    names = [f"n{k}" for k in range(length)]
    nodes = (Node("n0", (Source(1, 3),)), *(Node(name, (Multiply(factor),)) for name in names[1:-1]),
             Node(names[-1], (Sink(),)))
    return Network("chain", nodes, tuple(Arc(a, b) for a, b in pairwise(names)),
                   objective=Objective("max", {absorbed(names[-1]): 1}))


def test_a_chain_becomes_one_variable_and_every_name_keeps_its_value() -> None:
    found = solve(chain(8))
    assert (found.compiled.before.variables, found.compiled.before.rows) == (9, 8)
    assert (found.compiled.after.variables, found.compiled.after.rows) == (1, 0)
    assert found.values == {supply("n0"): 3, absorbed("n7"): 192,
                            **{(f"n{k}", f"n{k + 1}"): 3 * 2.0**k for k in range(7)}}


def test_bounds_of_merged_flows_all_count() -> None:
    nodes = (Node("a", (Source(1, 9),)), Node("b", (Multiply(-1),)), Node("c", (Sink(-math.inf),)))
    signed = Network("signed", nodes, (Arc("a", "b", upper=5), Arc("b", "c", lower=-4)),
                     objective=Objective("min", {("b", "c"): 1}))
    assert solve(signed).objective == pytest.approx(-4)


def test_the_two_case_studies_shrink() -> None:
    demands = {("1", "3"): 50, ("1", "2"): 100, ("2", "3"): 100}
    networks = [PINNING.concretise(fixed(five_node(), demands, 50)), PINNING.concretise(fixed(five_node(), demands)),
                PACKING.concretise(Case(((1,), (49,), (51,), (51,)), (100,), 4, (0, 1, 2, 3))),
                PACKING.concretise(Case(((1,), (49,), (51,), (51,)), (100,), 4))]
    for network in networks:
        compiled = compile_network(network)
        assert compiled.before == compile_network(network, merged=False).after
        assert compiled.after.variables < compiled.before.variables / 2
        assert compiled.after.rows < compiled.before.rows
        assert set(compiled.forms) == {*network.bounds, *(name for rule in network.rules for name in rule.indicators()),
                                       *(key for key in compiled.forms if " picks " in key)}


def test_merged_binaries_stay_binary() -> None:
    """Two picks whose edges are tied: the choices are one choice; tied the other way round they exclude each other."""
    for twisted in (False, True):
        nodes = [*(Node(name, (Source(1, 1), Pick())) for name in "ab"), *(Node(name, (AllEqual(),)) for name in "st"),
                 Node("rest")]
        heads = {"a": ("s", "t"), "b": ("t", "s") if twisted else ("s", "t")}
        arcs = [Arc(tail, head) for tail, both in heads.items() for head in both]
        goal = Objective("max", {("a", "s"): 0.5, ("b", "t"): 1})
        network = Network("tied", tuple(nodes), tuple(arcs), objective=goal)
        compiled = compile_network(network)
        assert (compiled.after.variables, compiled.after.binaries, compiled.after.rows) == (1, 1, 0)
        found = solve(network)
        assert found.objective == pytest.approx(1)
        assert {round(value, 9) for value in found.values.values()} == {0, 1}


def test_binaries_tied_by_a_factor_are_found_infeasible_or_fixed() -> None:
    nodes = (Node("a", (Source(1, 1), Pick())), Node("b", (Source(1, 1), Pick())), Node("half", (Multiply(0.5),)),
             Node("tie", (AllEqual(),)), Node("rest"))
    arcs = (Arc("a", "half"), Arc("a", "rest"), Arc("half", "tie"), Arc("b", "tie"), Arc("b", "rest"))
    network = Network("halved", nodes, arcs, objective=Objective("max", {("a", "half"): 1}))
    for merged in (True, False):  # a = 2 b with binaries: both off
        assert solve(network, merged=merged).objective == pytest.approx(0)


def random_network(seed: int) -> Network:
    """A few nodes with one or two behaviours each, edges at random (cycles and loops too), bounded whole numbers."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    nodes = []
    for k in range(count):
        body = [Split(), Pick(), Copy(), Multiply(int(rng.integers(-2, 3))), AllEqual()]
        chosen = [body[int(rng.integers(5))]] if rng.random() < 0.8 else []
        if rng.random() < 0.5:
            low = int(rng.integers(0, 3))
            chosen.append(Source(low, low + int(rng.integers(0, 3))))
        if rng.random() < 0.5:
            chosen.append(Sink(0, int(rng.integers(0, 6))))
        nodes.append(Node(f"n{k}", tuple(chosen)))
    arcs = tuple(Arc(f"n{a}", f"n{b}", int(rng.integers(-3, 1)), int(rng.integers(1, 9)))
                 for a in range(count) for b in range(count) if rng.random() < 0.45)
    terms = {arc.edge: int(rng.integers(-3, 4)) for arc in arcs}
    return Network("random", tuple(nodes), arcs, objective=Objective("max", terms))


def test_random_networks_have_the_same_optimum_merged_or_not() -> None:
    statuses = set[str]()
    for seed in range(scaled(60, 1500, "flow:random networks")):
        one, two = solve(random_network(seed)), solve(random_network(seed), merged=False)
        assert one.status == two.status, seed
        assert one.objective == (None if two.objective is None else pytest.approx(two.objective, abs=1e-6)), seed
        statuses.add(one.status)
    assert {"optimal", "infeasible"} <= statuses


def test_variables_of_others_stay_theirs() -> None:
    model = pyo.ConcreteModel()
    model.demand = pyo.Var(bounds=(0, 120))
    model.small = pyo.Var(bounds=(0, 1))
    pair = ("1", "3")
    network = PINNING.concretise(Pinning(five_node(), {pair: (0, 100)}, 50))
    compiled = compile_network(network, inputs={demand_edge(pair): model.demand, is_small(pair): model.small})
    assert compiled.expression(demand_edge(pair)) is model.demand
    assert [str(name) for name in compiled.block.row if "at most" in name] == ["outside -> demand 1>3: at most"]
    model.loose = pyo.Var()
    with pytest.raises(InputError, match="inputs: outside -> demand 1>3"):
        compile_network(network, inputs={demand_edge(pair): model.loose})
