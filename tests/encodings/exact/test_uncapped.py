"""The uncapped search against brute force and against a plain supersequence search, its limits and its refusals."""

from __future__ import annotations

import heapq
from dataclasses import replace
from random import Random

import pytest

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.simulator import Machine, replay_schedule
from tests.independent.brute_force import BruteForce
from tests.scale import scaled
from xplain.encodings.exact.pairwise import Strings, build_tables
from xplain.encodings.exact.pairwise_state import row_work
from xplain.encodings.exact.results import Limits, SearchResult
from xplain.encodings.exact.uncapped import applies, independent, solve_uncapped
from xplain.encodings.exact.uncapped_model import Letters
from xplain.encodings.exact.uncapped_search import AStar

REGIMES = ("K = 1, any start and rebatch", "K = 2, ramps cost", "riding costs, all else free")


def random_problem(random: Random, regime: str, most_requests: int = 4,
                   most_tokens: int = 4) -> tuple[Workload, CostProfile, ServerConfig]:
    """A small workload and a profile of one of the three families for which the word problem is exact."""
    count = {REGIMES[0]: 2, REGIMES[1]: 3}.get(regime, random.choice((1, 2, 3)))
    n = random.randint(1, most_requests)
    depths = [tuple(random.randint(1, count) for _ in range(random.randint(1, most_tokens))) for _ in range(n)]
    riding, binary = regime == REGIMES[2], regime == REGIMES[0]

    def cost(allowed: bool, high: int = 6) -> int:
        return random.randint(0, high) if allowed else 0

    segments = []
    for s in range(count):
        fixed = random.randint(1, 9)
        segments.append(SegmentCost((fixed, fixed), cost(riding or s == 0, 3), cost(riding or s == 0, 2)))
    profile = CostProfile(
        "random", (1, 8), tuple(segments), ramps=tuple(LinearCost(cost(not riding)) for _ in range(count - 1)),
        starts=tuple(cost(binary) for _ in range(count - 1)), rebatch=cost(binary), kv_fill=LinearCost(cost(binary)))
    workload = Workload.of(count, [Request(i, 0, 0, string) for i, string in enumerate(depths)])
    return workload, profile, ServerConfig(random.randint(n, 8), random.randint(n, 8))


def makespan_of(result: SearchResult, workload: Workload, profile: CostProfile, config: ServerConfig) -> int:
    return max(replay_schedule(Machine(workload, profile, config), result.schedule).completed)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_optimum_is_that_of_brute_force_over_every_clairvoyant_choice(regime: str) -> None:
    for seed in range(scaled(40, 600, f"workloads, uncapped = brute force, {regime}")):
        sizes = (3, 3) if regime == REGIMES[1] else (4, 3)
        workload, profile, config = random_problem(Random(f"{regime} {seed}"), regime, *sizes)
        assert applies(workload, profile, config) is None
        result = solve_uncapped(workload, profile, config)
        expected = BruteForce(workload, profile, config, "makespan").optimum()
        assert (result.interval.lower, result.interval.upper, result.stopped) == (expected, expected, "proved"), seed
        assert makespan_of(result, workload, profile, config) == expected, seed


def dijkstra(depths: list[tuple[int, ...]], shallow: int, full: int) -> int:
    """K = 1: a pass moves everybody one token on if it is full, only shallow tokens if it is not."""
    goal = tuple(map(len, depths))
    heap, done = [(0, (0,) * len(depths))], set()
    while heap:
        cost, at = heapq.heappop(heap)
        if at == goal:
            return cost
        if at in done:
            continue
        done.add(at)
        everyone = tuple(min(p + 1, end) for p, end in zip(at, goal, strict=True))
        some = tuple(p + (p < len(row) and row[p] == 1) for p, row in zip(at, depths, strict=True))
        heapq.heappush(heap, (cost + full, everyone))
        heapq.heappush(heap, (cost + shallow, some))
    raise AssertionError("no way to finish")


def binary_problem(seed: int, n: int, tokens: int, shallow: int,
                   deep: int) -> tuple[Workload, CostProfile, ServerConfig]:
    random = Random(seed)
    exits = random.choice((0.2, 0.5, 0.8))
    rows = [tuple(1 if random.random() < exits else 2 for _ in range(tokens)) for _ in range(n)]
    profile = CostProfile("binary", (256,), (SegmentCost((shallow,)), SegmentCost((deep,))), (LinearCost(),), (0,))
    return Workload.of(2, [Request(i, 0, 0, row) for i, row in enumerate(rows)]), profile, ServerConfig(n, n)


@pytest.mark.parametrize("prices", [(2863, 2343), (1, 4), (5, 1)])
def test_medium_workloads_agree_with_a_plain_dijkstra(prices: tuple[int, int]) -> None:
    for seed in range(scaled(8, 80, "workloads of 6 x 10, uncapped = Dijkstra")):
        workload, profile, config = binary_problem(seed, 6, 10, *prices)
        result = solve_uncapped(workload, profile, config)
        expected = dijkstra([request.depths for request in workload.requests], prices[0], sum(prices))
        assert result.interval.proved and result.interval.upper == expected
        assert makespan_of(result, workload, profile, config) == expected


@pytest.mark.parametrize("regime", REGIMES)
def test_a_star_finds_by_itself_what_it_proves(regime: str) -> None:
    """Without a beam's incumbent, which on small workloads is usually the optimum and would hide a missed word."""
    for seed in range(scaled(40, 400, f"workloads, A* alone, {regime}")):
        workload, profile, config = random_problem(Random(f"alone {regime} {seed}"), regime, 6, 6)
        strings = Strings.of(workload)
        letters = Letters.of(strings, profile)
        search = AStar(letters, build_tables(strings, profile, config, keep=letters.keep))
        search.open(10**9)
        assert search.advance(10**6)
        word = search.word()
        assert word is not None and search.lower == letters.cost[word].sum()
        expected = solve_uncapped(workload, profile, config).interval
        assert search.lower + int(row_work(workload, profile, strings)[:, 0].sum()) == expected.upper, seed
        if regime == REGIMES[0]:
            shallow, full = int(letters.cost[0]), int(letters.cost[1])
            assert search.lower == dijkstra([request.depths for request in workload.requests], shallow, full)


def test_limits_leave_an_interval_around_the_optimum_with_a_schedule_at_its_upper_end() -> None:
    open_ends = 0
    for seed in range(scaled(10, 60, "workloads of 24 x 16 under limits")):
        workload, profile, config = binary_problem(seed, 24, 16, 10, 40)
        optimum = solve_uncapped(workload, profile, config).interval.upper
        widths = []
        for nodes in (0, 1, 50, 400):
            result = solve_uncapped(workload, profile, config, Limits(nodes=nodes))
            assert result.interval.lower <= optimum <= result.interval.upper
            assert result.nodes <= nodes
            assert (result.stopped == "proved") == result.interval.proved
            assert makespan_of(result, workload, profile, config) == result.interval.upper
            widths.append(result.interval.width)
        assert widths == sorted(widths, reverse=True)
        open_ends += widths[0] > 0
    assert open_ends, "no limit was ever reached"


def test_no_time_at_all_still_gives_a_schedule() -> None:
    workload, profile, config = binary_problem(1, 12, 12, 10, 40)
    result = solve_uncapped(workload, profile, config, Limits(seconds=0))
    assert result.stopped in ("seconds", "proved")
    assert makespan_of(result, workload, profile, config) == result.interval.upper


def test_a_search_of_many_nodes_outgrows_its_first_arrays_and_stays_right() -> None:
    random = Random(9)
    rows = [tuple(random.randint(1, 3) for _ in range(20)) for _ in range(8)]
    profile = CostProfile("three", (8,), tuple(SegmentCost((cost,)) for cost in (10, 11, 12)),
                          (LinearCost(),) * 2, (0, 0))
    workload = Workload.of(3, [Request(i, 0, 0, row) for i, row in enumerate(rows)])
    result = solve_uncapped(workload, profile, ServerConfig(8, 8))
    assert result.stopped == "proved" and result.nodes > 2000
    assert makespan_of(result, workload, profile, ServerConfig(8, 8)) == result.interval.upper


def test_requests_contained_in_others_are_found() -> None:
    depths = [(1, 1), (2, 1, 2), (2, 1), (2, 1, 2), (1, 1, 1, 1)]
    workload = Workload.of(2, [Request(i, 0, 0, row) for i, row in enumerate(depths)])
    assert independent(Strings.of(workload)).tolist() == [3, 4]


def obstacle_of(change: str) -> str | None:
    workload, profile, config = binary_problem(0, 4, 3, 10, 40)
    late, prompted = replace(workload.requests[3], arrival=5), replace(workload.requests[3], prompt_tokens=2,
                                                                       depths=(2, 1))
    deep = SegmentCost((40,), per_row=1)
    two = CostProfile("two", (8,), (SegmentCost((10,)),) * 3, (LinearCost(),) * 2, (0, 0))
    match change:
        case "cap":
            config = replace(config, batch_max=3)
        case "places":
            config = replace(config, max_num_seqs=3)
        case "arrival":
            workload = Workload.of(2, [*workload.requests[:3], late])
        case "prompt":
            workload = Workload.of(2, [*workload.requests[:3], prompted])
        case "buckets":
            profile = replace(profile, buckets=(2, 8), segments=(SegmentCost((10, 11)), SegmentCost((40, 40))))
        case "rows":
            profile, config = replace(profile, buckets=(3,)), ServerConfig(4, 4)
        case "ramp rows":
            profile = replace(profile, ramps=(LinearCost(1, 1),))
        case "fill":
            profile = replace(profile, kv_fill=LinearCost(0, 1))
        case "riding ramp":
            profile = replace(profile, segments=(profile.segments[0], deep), ramps=(LinearCost(1),))
        case "riding start":
            profile = replace(profile, segments=(profile.segments[0], deep), starts=(1,))
        case "K = 2 rebatch" | "K = 2 start" | "K = 2 fill":
            workload = replace(workload, num_segments=3)
            profile = {"K = 2 rebatch": replace(two, rebatch=1), "K = 2 start": replace(two, starts=(1, 0)),
                       "K = 2 fill": replace(two, kv_fill=LinearCost(1))}[change]
    return applies(workload, profile, config)


@pytest.mark.parametrize(("change", "reason"), [
    ("none", None), ("cap", "batch_max = 3 is below"), ("places", "max_num_seqs = 3 is below"),
    ("arrival", "arrives after 0"), ("prompt", "has a prompt"), ("buckets", "differs between buckets"),
    ("rows", "covers 3 rows"), ("ramp rows", "ramp has a per_row"), ("fill", "kv_fill has a per_row"),
    ("riding ramp", "a ramp has a cost and segments"), ("riding start", "start has a cost and segments"),
    ("K = 2 rebatch", "rebatch has a cost and K"), ("K = 2 start", "start has a cost and K"),
    ("K = 2 fill", "kv_fill has a fixed cost and K")])
def test_the_first_failing_precondition_is_named(change: str, reason: str | None) -> None:
    found = obstacle_of(change)
    assert found is None if reason is None else found is not None and reason in found


def test_a_problem_outside_the_preconditions_is_refused() -> None:
    workload, profile, _ = binary_problem(0, 4, 3, 10, 40)
    with pytest.raises(LimitError, match="does not apply: batch_max = 2"):
        solve_uncapped(workload, profile, ServerConfig(2, 4))
