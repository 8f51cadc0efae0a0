"""EE scheduling as flows: same edges on both sides, known answers, a planted defect, determinism."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import drex_runtime
from drex_runtime.errors import PolicyError, RecordError
from drex_runtime.policies import shipped_policy
from drex_runtime.records import CostProfile, LinearCost, SegmentCost, load_profile
from drex_runtime.scheduling.state import Objective
from tests.scale import scaled
from xplain.heat_map import score
from xplain.heat_map.scheduling import SchedulingFlows, bucket
from xplain.heat_map.score import heat_map
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender
from xplain.records import HeatMap

FREE = CostProfile("free second pass", (1, 2, 4), (SegmentCost((100, 101, 103)), SegmentCost((100, 101, 103))),
                   (LinearCost(),), (0,))
THREE = CostProfile("three segments", (1, 2, 4), (SegmentCost((90, 100, 120), 5),) * 3, (LinearCost(3, 1),) * 2,
                    (40, 20), rebatch=5)


def shipped_profile() -> CostProfile:
    return load_profile(Path(drex_runtime.__file__).parent / "data" / "profiles" / "demo-cpu.json")


def flows(policy: str, profile: CostProfile, objective: Objective = "total-completion", requests: int = 3,
          tokens: int = 3, settings: dict[str, str] | None = None, max_states: int = 20_000) -> SchedulingFlows:
    contender = Contender(policy, shipped_policy(policy), settings or {})
    return SchedulingFlows(ExactProblem(contender, profile, objective, 0.05, requests=requests, tokens=tokens),
                           max_states)


def drawn(problem: SchedulingFlows, count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(5)
    return [problem.draw(rng) for _ in range(count)]


def mapped(problem: SchedulingFlows, count: int = 120) -> HeatMap:
    return heat_map(problem, drawn(problem, count))


@pytest.mark.parametrize("profile", [FREE, THREE])
@pytest.mark.parametrize("policy", ["drex", "no-exit", "flush-now", "consensus"])
def test_every_flow_is_on_the_edges_and_both_sides_complete_every_token(policy: str, profile: CostProfile) -> None:
    problem = flows(policy, profile)
    edges = set(problem.edges)
    assert len(edges) == len(problem.edges)
    for point in drawn(problem, scaled(20, 300)):
        pair = problem.flows(point)
        assert pair is not None
        assert set(pair.heuristic) | set(pair.benchmark) <= edges
        assert {edge for edge in pair.certain if pair.heuristic[edge] == pair.benchmark.get(edge, 0)} == set()
        for side in (pair.heuristic, pair.benchmark):
            runs = sum(amount for (_, decision), amount in side.items() if decision.startswith("RUN"))
            assert 3 <= runs <= 9 * profile.num_segments


def test_an_optimal_policy_has_an_empty_map() -> None:
    """One segment and everybody at 0: running all ready rows is optimal, and nothing else is ever said."""
    single = CostProfile("one segment", (1, 2, 4), (SegmentCost((100, 100, 100)),), (), ())
    at_once = [{**point, **{name: 0.0 for name in point if name.startswith("a")}}
               for point in drawn(flows("no-exit", single, "makespan"), 60)]
    heat = heat_map(flows("no-exit", single, "makespan"), at_once)
    assert {edge.score.value for edge in heat.edges} == {edge.differs.value for edge in heat.edges} == {0.0}


def test_a_policy_that_never_exits_is_told_to_consult() -> None:
    heat = mapped(flows("no-exit", FREE))
    by_head: dict[str, float] = {}
    for edge in heat.edges:
        by_head[edge.head] = by_head.get(edge.head, 0.0) + edge.difference.value
    assert by_head["CONSULT"] > 0 > by_head["SKIP"]
    assert by_head["SPLIT"] > 0
    consult = max((edge for edge in heat.edges if edge.head == "CONSULT"), key=lambda edge: edge.score.value)
    assert consult.score.low > 0
    assert consult.must.value > 0.5 * consult.differs.value


def test_a_planted_late_flush_shows_at_full_buffers() -> None:
    """`threshold` that waits for four buffered rows where a second pass is free: the optimum runs pool 2 earlier."""
    late = mapped(flows("threshold", FREE, requests=4, settings={"flush_size": "4"}))
    early = [edge for edge in late.edges if edge.head == "RUN(2)" and not edge.tail.endswith("3-4 buffered")
             and not edge.tail.startswith("0 ready")]
    assert sum(edge.difference.value for edge in early) > 0
    full = [edge for edge in late.edges if edge.head == "RUN(2)" and edge.tail == "0 ready, 3-4 buffered"]
    assert full[0].difference.value < 0


def test_buckets_double_and_cover_everything() -> None:
    assert [bucket(rows) for rows in range(10)] == [(0, 0), (1, 1), (2, 2), (3, 4), (3, 4), (5, 8), (5, 8), (5, 8),
                                                    (5, 8), (9, 16)]
    for rows in range(70):
        low, high = bucket(rows)
        assert low <= rows <= high
        assert bucket(low) == bucket(high) == (low, high)


def test_what_is_not_proved_is_left_out_and_counted() -> None:
    heat = mapped(flows("drex", FREE, max_states=20), 40)
    assert 0 < heat.infeasible < 40
    assert heat.samples == 40


def test_processes_and_repetition_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "START", 0.0)
    monkeypatch.setattr(score, "BATCH", 50)
    problem = flows("drex", shipped_profile())
    points = drawn(problem, 130)
    once = heat_map(problem, points, jobs=2)
    assert once == heat_map(problem, points)
    assert once == heat_map(flows("drex", shipped_profile()), points)


def test_policies_that_force_exits_and_limits_of_nothing_are_refused() -> None:
    with pytest.raises(PolicyError, match="forces exits"):
        flows("greedy", FREE)
    with pytest.raises(RecordError, match="max_states"):
        flows("drex", FREE, max_states=0)
