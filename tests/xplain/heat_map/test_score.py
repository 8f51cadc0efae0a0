"""Heat maps of flows that are known, and of those that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drex_runtime.errors import RecordError
from tests.scale import scaled
from tests.xplain.heat_map.flows import DETOUR, KnownFlows, detour, points
from xplain.heat_map import score
from xplain.heat_map.score import heat_map, paired_difference
from xplain.problems.flows import Edge, FlowPair
from xplain.records import EdgeHeat, HeatMap


def heats(heat: HeatMap) -> dict[Edge, EdgeHeat]:
    return {(edge.tail, edge.head): edge for edge in heat.edges}


def test_known_flows_give_the_papers_scores() -> None:
    heat = heat_map(KnownFlows(DETOUR, detour), points(*[0] * 20, *[1] * 50, *[2] * 30, *[3] * 7))
    assert (heat.samples, heat.infeasible, heat.counted) == (107, 7, 100)
    assert tuple(map(tuple, ((edge.tail, edge.head) for edge in heat.edges))) == DETOUR
    found = heats(heat)
    short, long, both, never = (found[edge] for edge in (("a", "b"), ("a", "c"), ("d", "e"), ("x", "y")))
    assert short.score.value == pytest.approx(-0.5)
    assert long.score.value == pytest.approx(0.8)
    assert (short.only_heuristic.value, short.both.value, short.only_benchmark.value) == (0.5, 0.5, 0)
    assert (long.only_benchmark.value, long.neither.value) == (0.8, 0.2)
    assert short.difference.value == pytest.approx((-4 * 50 - 2 * 30) / 100)
    assert long.difference.value == pytest.approx((4 * 50 + 2 * 30) / 100)
    assert short.heuristic == 4.0
    assert short.benchmark == pytest.approx(1.4)
    assert (short.differs.value, short.must.value) == (0.8, 0.5)
    assert short.score.high < 0 < long.score.low
    assert both.score.value == both.difference.value == both.differs.value == 0
    assert not never.used  # 1e-9 is what a solver leaves behind
    for edge in heat.edges:
        shares = edge.both.value + edge.only_benchmark.value + edge.only_heuristic.value + edge.neither.value
        assert shares == pytest.approx(1)
        assert edge.score.low <= edge.score.value <= edge.score.high
        assert edge.score.low < edge.score.high
        assert edge.must.value <= edge.differs.value


def test_alike_everywhere_is_nothing_anywhere() -> None:
    heat = heat_map(KnownFlows(DETOUR, detour), points(*[0] * 30))
    assert {edge.score.value for edge in heat.edges} == {edge.difference.value for edge in heat.edges} == {0.0}


def test_no_sample_says_nothing() -> None:
    for heat in (heat_map(KnownFlows(DETOUR, detour), points(3, 3)), heat_map(KnownFlows(DETOUR, detour), [])):
        assert heat.counted == 0
        assert {(edge.score.low, edge.score.high) for edge in heat.edges} == {(-1.0, 1.0)}
        assert not any(edge.used for edge in heat.edges)
    assert heat_map(KnownFlows((), lambda _: FlowPair({}, {})), points(0)).edges == ()


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = points(*np.random.default_rng(0).integers(0, 4, 237).tolist())
    problem = KnownFlows(DETOUR, detour)
    whole = heat_map(problem, drawn)
    monkeypatch.setattr(score, "BATCH", 7)
    assert heat_map(problem, drawn) == whole


@pytest.mark.parametrize(("pair", "named"), [
    (FlowPair({("a", "z"): 1.0}, {}), "a"), (FlowPair({}, {("a", "b"): -1.0}), "benchmark"),
    (FlowPair({("a", "b"): math.nan}, {}), "heuristic"), (FlowPair({("a", "b"): math.inf}, {}), "heuristic"),
    (FlowPair({}, {}, frozenset({("b", "a")})), "certain")])
def test_flows_that_cannot_be_are_refused(pair: FlowPair, named: str) -> None:
    with pytest.raises(RecordError, match=named):
        heat_map(KnownFlows((("a", "b"),), lambda _: pair), points(0))


def test_an_edge_listed_twice_is_refused() -> None:
    with pytest.raises(RecordError, match="every edge once"):
        heat_map(KnownFlows((("a", "b"), ("a", "b")), detour), points(0))


def test_the_scores_interval_covers_and_is_never_empty() -> None:
    rng = np.random.default_rng(1)
    for shares in ((0.0, 0.0), (0.02, 0.0), (0.3, 0.1), (0.05, 0.9), (1.0, 0.0)):
        inside = 0
        runs = scaled(400, 4000)
        for _ in range(runs):
            plus, minus, _ = rng.multinomial(60, [*shares, 1 - sum(shares)])
            mean = paired_difference(int(plus), int(minus), 60)
            assert mean.low < mean.high
            inside += mean.low <= shares[0] - shares[1] <= mean.high
        assert inside >= 0.92 * runs, shares
