"""The paper's five nodes: demand pinning on the short path, the optimum on the long one."""

from __future__ import annotations

import numpy as np

from tests.xplain.heat_map.flows import KnownFlows
from xplain.flow.demand_pinning import certain_edges, edges, five_node, optimal, pinned
from xplain.heat_map.score import heat_map
from xplain.problems.flows import FlowPair
from xplain.records import HeatMap, Point

PAIRS = (("1", "3"), ("1", "2"), ("2", "3"))
THRESHOLD = 50


def flows(point: Point) -> FlowPair | None:
    """Of demands in the order of PAIRS, named d0, d1, d2."""
    topology = five_node()
    demands = {pair: int(point[f"d{k}"]) for k, pair in enumerate(PAIRS)}
    ours = pinned(topology, demands, THRESHOLD)
    if ours is None:
        return None
    theirs = optimal(topology, demands, ours.flows)
    return FlowPair(ours.flows, theirs.flows, certain_edges(topology, demands, ours.flows, theirs))


def mapped(points: list[dict[str, float]]) -> HeatMap:
    return heat_map(KnownFlows(edges(five_node(), PAIRS), flows), points)


def test_the_golden_case_moves_everything_from_the_short_to_the_long_path() -> None:
    heat = mapped([{"d0": 50.0, "d1": 100.0, "d2": 100.0}])
    found = {(edge.tail, edge.head): edge for edge in heat.edges}
    assert found["1>3", "1>2>3"].score.value == -1
    assert found["1>3", "1>4>5>3"].score.value == 1
    assert found["1>3", "1>4>5>3"].difference.value == 50
    assert found["1>3", "1>4>5>3"].must.value == 1


def test_over_the_declared_distribution_the_heuristic_has_more_on_the_short_path_and_the_optimum_on_the_long() -> None:
    rng = np.random.default_rng(0)
    heat = mapped([{f"d{k}": float(rng.integers(0, 101)) for k in range(3)} for _ in range(300)])
    found = {(edge.tail, edge.head): edge for edge in heat.edges}
    short, long = found["1>3", "1>2>3"], found["1>3", "1>4>5>3"]
    assert short.difference.high < 0 < long.difference.low
    assert short.score.value <= 0 < long.score.low
    assert max(heat.edges, key=lambda edge: edge.score.value) == long


def test_where_it_is_pinned_and_the_links_are_full_the_scores_say_so_outright() -> None:
    rng = np.random.default_rng(1)
    heat = mapped([{"d0": float(rng.integers(30, 51)), "d1": 100.0, "d2": 100.0} for _ in range(60)])
    found = {(edge.tail, edge.head): edge for edge in heat.edges}
    assert found["1>3", "1>2>3"].score.high < -0.9
    assert found["1>3", "1>4>5>3"].score.low > 0.9
