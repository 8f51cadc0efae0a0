"""Pairwise tables are shortest common supersequences, and never more than what any state's optimum costs."""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
import pytest

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.scheduling.state import State, initial_state
from tests.generators import Quota, small_case
from tests.independent.brute_force import BruteForce, Node
from tests.scale import scaled
from xplain.encodings.exact.pairwise import Strings, build_tables
from xplain.encodings.exact.pairwise_state import PairBound

FAR = 2**40


def fixed_profile(*segments: int) -> CostProfile:
    ramps = len(segments) - 1
    return CostProfile("fixed", (64,), tuple(SegmentCost((cost,)) for cost in segments), (LinearCost(),) * ramps,
                       (0,) * ramps)


def workload_of(num_segments: int, depths: list[list[int]]) -> Workload:
    return Workload.of(num_segments, [Request(i, 0, 0, tuple(string)) for i, string in enumerate(depths)])


def state_of(node: Node) -> State:
    """A State record of a brute-force node; nodes without arrivals to come carry no time of day."""
    rows = node.rows
    zeros, never = (0,) * len(rows), (-1,) * len(rows)
    return State(FAR if node.now < 0 else node.now, node.phase, node.segment, tuple(row.place for row in rows),
                 tuple(row.emitted for row in rows), tuple(row.prefilled for row in rows), zeros,
                 tuple(int(row.latched) for row in rows), never, never, ())


def test_no_state_can_be_finished_faster_than_its_bound() -> None:
    """Caps, places, arrivals, prompts, K up to 3, every cost: states of all phases, against brute force."""
    quota, tight, states = Quota(), 0, 0
    for seed in range(scaled(120, 1500, "cases, pairwise bound <= brute force in sampled states")):
        case = small_case(4 * 10**6 + seed, 1500)
        quota.add(case)
        judge = BruteForce(case.workload, case.profile, case.config, "makespan")
        optimum = judge.optimum()
        bound = PairBound.of(case.workload, case.profile, case.config)
        start = initial_state(len(case.workload.requests), case.workload.num_segments)
        assert bound.makespan_to_go(start) <= optimum, f"seed {case.seed}"
        nodes = Random(seed).sample(sorted(judge.memo), min(60, len(judge.memo)))
        for node in nodes:
            found = bound.makespan_to_go(state_of(node))
            assert found <= judge.memo[node], f"seed {case.seed}, {node}"
            tight += found == judge.memo[node]
            states += 1
    print(f"{states} states, bound equal to the optimum in {tight}")
    quota.require(scaled(15, 200, "cases per feature, pairwise bound"))
    assert tight > states // 5


def supersequence(strings: tuple[tuple[int, ...], ...], weights: tuple[int, ...]) -> int:
    """Weighted shortest common supersequence of segment strings by plain recursion."""
    @cache
    def rest(at: tuple[int, ...]) -> int:
        heads = {string[p] for string, p in zip(strings, at, strict=True) if p < len(string)}
        if not heads:
            return 0
        return min(weights[head - 1] + rest(tuple(p + (p < len(string) and string[p] == head)
                                                  for string, p in zip(strings, at, strict=True))) for head in heads)
    return rest((0,) * len(strings))


@pytest.mark.parametrize("segments", [(3, 5), (7, 2), (2, 3, 4)])
def test_with_fixed_costs_only_a_pair_costs_its_shortest_common_supersequence(segments: tuple[int, ...]) -> None:
    random = Random(sum(segments))
    for _ in range(scaled(40, 400, "pairs, tables = shortest common supersequence")):
        depths = [[random.randint(1, len(segments)) for _ in range(random.randint(1, 7))] for _ in range(2)]
        workload = workload_of(len(segments), depths)
        strings = Strings.of(workload)
        tables = build_tables(strings, fixed_profile(*segments), ServerConfig(2, 2))
        flat = [tuple(s for depth in row for s in range(1, depth + 1)) for row in depths]
        for p in range(len(flat[0]) + 1):
            for q in range(len(flat[1]) + 1):
                expected = supersequence((flat[0][p:], flat[1][q:]), segments)
                assert tables.bound(np.asarray([p, q])) == expected


def test_a_request_further_on_never_has_a_larger_bound() -> None:
    for seed in range(scaled(60, 600, "cases, bound does not rise along a string")):
        case = small_case(5 * 10**6 + seed, 1500)
        tables = build_tables(strings := Strings.of(case.workload), case.profile, case.config)
        random = Random(seed)
        at = np.asarray([random.randint(0, int(length)) for length in strings.length])
        further = np.asarray([random.randint(int(p), int(length)) for p, length in zip(at, strings.length,
                                                                                       strict=True)])
        assert tables.bound(further) <= tables.bound(at)


def test_batches_of_one_share_nothing() -> None:
    workload = workload_of(2, [[1, 2], [1, 2]])
    strings = Strings.of(workload)
    shared, apart = (build_tables(strings, fixed_profile(3, 5), ServerConfig(rows, 2)).bound(np.zeros(2, np.int64))
                     for rows in (2, 1))
    assert (shared, apart) == (11, 22)


def test_few_cells_cover_the_most_expensive_requests_and_keep_the_bound_below() -> None:
    random = Random(3)
    workload = workload_of(2, [[random.randint(1, 2) for _ in range(random.randint(2, 12))] for _ in range(12)])
    strings = Strings.of(workload)
    whole, part = (build_tables(strings, fixed_profile(3, 5), ServerConfig(12, 12), max_cells=cells)
                   for cells in (2**20, 800))
    start = np.zeros(12, np.int64)
    assert len(whole.covered) == 12 and 2 <= len(part.covered) < 12
    assert part.table.size <= 800
    assert part.chain[part.covered, 0].min() >= np.delete(part.chain[:, 0], part.covered).max()
    assert part.chain[:, 0].max() <= part.bound(start) <= whole.bound(start)


def test_workload_and_profile_of_different_models_are_refused() -> None:
    with pytest.raises(LimitError, match="2 segments, profile fixed has 3"):
        PairBound.of(workload_of(2, [[1]]), fixed_profile(1, 1, 1), ServerConfig(1, 1))
    with pytest.raises(LimitError, match="counts in us"):
        PairBound.of(Workload.of(1, [Request(0, 0, 0, (1,))], tick="us"), fixed_profile(1), ServerConfig(1, 1))
