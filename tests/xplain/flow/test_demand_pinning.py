"""Demand pinning: fast evaluation is the network's optimum, nearest flows are nearest, certain edges are certain."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed

from drex_runtime.errors import InputError, LimitError
from tests.scale import scaled
from tests.xplain.flow.topologies import random_demands, random_topology
from xplain.flow.check import check
from xplain.flow.demand_pinning import Link, PinningResult, Topology, certain_edges, edges, five_node, optimal, pinned
from xplain.flow.network import Network, absorbed
from xplain.flow.pinning_network import PINNING, TOTAL, Case, fixed, heat_edges
from xplain.flow.solve import solve

SEEDS = range(scaled(25, 300, "flow:demand pinning on random topologies"))


def network_flows(case: Case, flows: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Flows of the heat map's edges as flows of the network: links and the sum of what is unmet follow."""
    named, network = heat_edges(case), PINNING.concretise(case)
    found = {edge: flows[named[edge]] for edge in named}
    for tail, head in network.graph.edges:
        if tail.startswith("path "):
            (into,) = (edge for edge in named if edge[1] == tail)
            found[tail, head] = found[into]
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_fast_evaluation_is_the_networks_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    for _ in range(2):
        demands = random_demands(rng, topology)
        threshold = int(rng.integers(0, 9))
        heuristic, best = pinned(topology, demands, threshold), optimal(topology, demands)
        for case, found in ((fixed(topology, demands, threshold), heuristic), (fixed(topology, demands), best)):
            network = PINNING.concretise(case)
            by_network = solve(network)
            assert (by_network.status == "infeasible") == (found is None)
            if found is not None:
                assert by_network.objective == pytest.approx(found.exact_unmet, abs=1e-6)
                assert found.unmet == math.ceil(found.exact_unmet - 1e-6)
                assert check(network, network_flows(case, found.flows)) == ()
                assert tuple(found.flows) == edges(topology, tuple(demands))
        if heuristic is not None:
            near = optimal(topology, demands, heuristic.flows)
            assert near.exact_unmet == pytest.approx(best.exact_unmet, abs=1e-6)
            assert heuristic.unmet >= near.unmet
            assert check(network, network_flows(fixed(topology, demands), near.flows)) == ()
            assert distance(near.flows, heuristic.flows) <= distance(best.flows, heuristic.flows) + 1e-6


def distance(one: dict[Any, float], two: dict[Any, float]) -> float:
    return sum(abs(one[edge] - two[edge]) for edge in one)


@pytest.mark.parametrize("seed", SEEDS[:max(8, len(SEEDS) // 4)])
def test_certain_edges_are_those_on_which_no_optimal_flow_is_the_heuristics(seed: int) -> None:
    """Asked of the network itself: its optimum with one edge held to the heuristic's flow."""
    rng = np.random.default_rng(1000 + seed)
    topology = random_topology(rng)
    demands = random_demands(rng, topology)
    heuristic = pinned(topology, demands, 5)
    if heuristic is None:
        return
    best = optimal(topology, demands)
    case = fixed(topology, demands)
    network = PINNING.concretise(case)
    certain = certain_edges(topology, demands, heuristic.flows, best)
    assert certain == certain_edges(topology, demands, heuristic.flows, optimal(topology, demands, heuristic.flows))
    for edge, shown in heat_edges(case).items():
        held = solve(_held(network, edge, heuristic.flows[shown]))
        same = held.status == "optimal" and held.objective == pytest.approx(best.exact_unmet, abs=1e-5)
        assert (shown in certain) == (not same), shown


def _held(network: Network, edge: tuple[str, str], amount: float) -> Network:
    return replace(network, arcs=tuple(replace(arc, lower=max(0.0, amount - 1e-7), upper=amount + 1e-7)
                                       if arc.edge == edge else arc for arc in network.arcs))


def test_what_a_link_absorbs_counts_long_paths_twice() -> None:
    """Why unmet demand is minimised: most "met" demand, counted at the links, prefers the long path of the five."""
    topology, demands = five_node(), {("1", "3"): 50, ("1", "2"): 100, ("2", "3"): 0}
    network = PINNING.concretise(fixed(topology, demands))
    links = {absorbed(node.name): 1.0 for node in network.nodes if node.metadata["family"] == "link"}
    met = solve(replace(network, objective=replace(network.objective, sense="max", terms=links)))
    assert met.objective == pytest.approx(3 * 50 + 100)  # though 150 units arrive
    assert solve(network).values[absorbed(TOTAL)] == pytest.approx(0)


def test_pinned_demands_beyond_a_link_are_infeasible_for_the_heuristic_only() -> None:
    topology = Topology((Link("a", "b", 10), Link("b", "c", 10)))
    demands = {("a", "b"): 6, ("a", "c"): 6}
    assert pinned(topology, demands, 6) is None
    assert pinned(topology, demands, 5) is not None
    assert optimal(topology, demands).unmet == 2


def test_a_demand_without_a_path_cannot_be_pinned_but_may_stay_unmet() -> None:
    topology = Topology((Link("a", "b", 10), Link("c", "b", 10)))
    assert pinned(topology, {("a", "c"): 3}, 5) is None
    assert pinned(topology, {("a", "c"): 0}, 5) == PinningResult(0, {("a>c", "unmet"): 0.0}, 0.0)
    assert optimal(topology, {("a", "c"): 3}).unmet == 3
    assert pinned(topology, {("a", "c"): 7}, 5) == PinningResult(7, {("a>c", "unmet"): 7.0}, 7.0)


def test_a_fractional_optimum_counts_the_unit_begun() -> None:
    """Three demands around a ring of capacity 1, each over two links: half of each is the best."""
    ring = Topology(tuple(Link(*each) for each in (("1", "2", 1), ("2", "3", 1), ("3", "1", 1))))
    found = optimal(ring, {("1", "3"): 1, ("2", "1"): 1, ("3", "2"): 1})
    assert (found.unmet, found.exact_unmet) == (2, 1.5)


def test_results_depend_on_nothing_solved_before_or_beside() -> None:
    topology, rng = five_node(), np.random.default_rng(5)
    inputs = [dict(zip((("1", "3"), ("1", "2"), ("2", "3")), map(int, rng.integers(0, 101, 3)), strict=True))
              for _ in range(60)]

    def both(demands: dict[tuple[str, str], int]) -> tuple[Any, Any, Any]:
        heuristic = pinned(topology, demands, 50)
        if heuristic is None:
            return None, optimal(topology, demands), None
        near = optimal(topology, demands, heuristic.flows)
        return heuristic, near, certain_edges(topology, demands, heuristic.flows, near)

    forwards, backwards = [both(each) for each in inputs], [both(each) for each in reversed(inputs)]
    assert forwards == backwards[::-1]
    assert forwards == Parallel(n_jobs=3, prefer="threads")(delayed(both)(each) for each in inputs)


@pytest.mark.parametrize(("demands", "threshold", "match"), [
    ({("1", "9"): 1}, 5, "1>9 = 9: expected a node of the topology: 1, 2, 3, 4, 5"),
    ({("1", "1"): 1}, 5, "two different nodes"), ({("1", "2"): -1}, 5, "1>2 = -1: expected a whole number"),
    ({("1", "2"): 0.5}, 5, "1>2 = 0.5"), ({}, 5, "at least one demand"), ({("1", "2"): 5}, -1, "threshold = -1")])
def test_bad_demands_are_named(demands: Any, threshold: int, match: str) -> None:
    with pytest.raises(InputError, match=match):
        pinned(five_node(), demands, threshold)


def test_bad_flows_are_named() -> None:
    with pytest.raises(InputError, match="an edge of"):
        optimal(five_node(), {("1", "3"): 5}, {("1>3", "1>9>3"): 1.0})


def test_too_many_paths_are_said_to_be_not_cut() -> None:
    full = Topology(tuple(Link(str(a), str(b), 1) for a in range(9) for b in range(9) if a != b))
    with pytest.raises(LimitError, match="demand 0>1: more than 2000 simple paths"):
        optimal(full, {("0", "1"): 1})
    assert optimal(full, {("0", "1"): 5}, limit=3).unmet == 2
