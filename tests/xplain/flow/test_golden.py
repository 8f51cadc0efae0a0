"""The papers' values, through the networks and, for demand pinning, both single-level encodings of the compiled ones.

Demand pinning: heuristic 150, optimum 250; largest gap 100. First fit: 3 bins, optimum 2.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.encodings.bilevel.pinning import Pinning, with_pins
from tests.scale import scaled
from tests.xplain.flow.topologies import random_demands, random_topology
from xplain.encodings.bilevel import Method, replay, solve
from xplain.encodings.bilevel.follower import Array
from xplain.flow.demand_pinning import Topology, certain_edges, five_node, optimal, pinned
from xplain.flow.first_fit import first_fit, num_bins, optimal_packing, placing_order
from xplain.flow.packing_network import PACKING
from xplain.flow.packing_network import Case as Packing
from xplain.flow.pinning_gap import largest_gap
from xplain.flow.pinning_network import PINNING, fixed
from xplain.flow.solve import solve as solve_network
from xplain.flow.topology import Pair

PAIRS: list[Pair] = [("1", "3"), ("1", "2"), ("2", "3")]
DEMANDS = dict(zip(PAIRS, (50, 100, 100), strict=True))
BALLS, BIN = ((1,), (49,), (51,), (51,)), (100,)  # hundredths


def test_the_papers_demands_meet_150_and_250() -> None:
    for threshold, met in ((50, 150), (None, 250)):
        unmet = solve_network(PINNING.concretise(fixed(five_node(), DEMANDS, threshold))).objective
        assert unmet == pytest.approx(sum(DEMANDS.values()) - met)
    heuristic = pinned(five_node(), DEMANDS, 50)
    assert heuristic is not None
    assert (250 - heuristic.unmet, 250 - optimal(five_node(), DEMANDS).unmet) == (150, 250)


def test_the_heuristic_is_on_the_short_path_and_every_optimum_on_the_long_one() -> None:
    heuristic = pinned(five_node(), DEMANDS, 50)
    assert heuristic is not None
    best = optimal(five_node(), DEMANDS, heuristic.flows)
    short, long = ("1>3", "1>2>3"), ("1>3", "1>4>5>3")
    assert (heuristic.flows[short], heuristic.flows[long]) == (50, 0)
    assert (best.flows[short], best.flows[long]) == (0, 50)
    assert {short, long} <= certain_edges(five_node(), DEMANDS, heuristic.flows, best)


@pytest.mark.parametrize("method", ["kkt", "primal-dual"])
def test_the_largest_gap_on_levels_is_100(method: Method) -> None:
    answer = solve(largest_gap(five_node(), PAIRS, 50, 100, method=method, levels=(0, 50, 100)))
    assert (answer.stopped, answer.objective) == ("proved", pytest.approx(100))
    assert answer.bound == pytest.approx(100, abs=1e-5)
    assert answer.x is not None
    at = dict(zip(PAIRS, map(int, answer.x[:3]), strict=True))
    heuristic = pinned(five_node(), at, 50)
    assert heuristic is not None
    assert heuristic.unmet - optimal(five_node(), at).unmet == 100


def test_the_largest_gap_over_all_whole_demands_is_100_too() -> None:
    answer = solve(largest_gap(five_node(), PAIRS, 50, 100))
    assert (answer.stopped, answer.objective) == ("proved", pytest.approx(100))


def listed_gap(topology: Topology, pairs: list[Pair], threshold: int, levels: tuple[int, ...]) -> int | None:
    """The largest gap by evaluating every input; None if all are infeasible."""
    gaps = [heuristic.unmet - optimal(topology, demands).unmet
            for values in itertools.product(levels, repeat=len(pairs))
            for demands in [dict(zip(pairs, values, strict=True))]
            for heuristic in [pinned(topology, demands, threshold)] if heuristic is not None]
    return max(gaps, default=None)


@pytest.mark.parametrize("seed", range(scaled(4, 40, "flow:gap programs on random topologies")))
def test_both_encodings_of_the_network_agree_with_listing_on_random_topologies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    pairs, levels = list(random_demands(rng, topology))[:3], (0, 4, 10)
    expected = listed_gap(topology, pairs, 4, levels)
    for method in ("kkt", "primal-dual"):
        answer = solve(largest_gap(topology, pairs, 4, 10, method=method, levels=levels))  # type: ignore[arg-type]
        assert answer.objective == (None if expected is None else pytest.approx(expected, abs=1e-5)), method


def test_the_followers_are_those_built_by_hand() -> None:
    by_hand = Pinning({link.ends: link.capacity for link in five_node().links}, PAIRS, threshold=50, most=100)
    benchmark, heuristic = by_hand.followers()
    program = largest_gap(five_node(), PAIRS, 50, 100, levels=(0, 50, 100))
    for demands in itertools.product((0, 50, 100), repeat=3):
        small = [float(each <= 50) for each in demands]
        for ours, theirs in zip(program.followers, (benchmark, heuristic), strict=True):
            met = sum(demands) - replay(ours.follower, np_array([*demands, *small])).value
            assert met == pytest.approx(replay(theirs, with_pins(demands, by_hand)).value)


def np_array(values: list[float]) -> Array:
    return np.array(values, dtype=float)


def test_the_papers_balls_take_3_bins_where_2_would_do() -> None:
    order = placing_order(BALLS, BIN, decreasing=False)
    assert solve_network(PACKING.concretise(Packing(BALLS, BIN, 4, order))).objective == pytest.approx(3)
    assert solve_network(PACKING.concretise(Packing(BALLS, BIN, 4))).objective == pytest.approx(2)
    assert num_bins(first_fit(BALLS, BIN)) == 3
    assert num_bins(optimal_packing(BALLS, BIN)) == 2
