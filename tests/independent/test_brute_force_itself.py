"""The brute force is the judge of the exact search; here it is judged by other means."""

from __future__ import annotations

from functools import cache
from random import Random

from drex_runtime.records import CostProfile, LinearCost, PrefillCost, Request, SegmentCost, ServerConfig, Workload
from tests.independent.brute_force import BruteForce
from tests.scale import scaled


def shortest_common_supersequence(words: tuple[str, ...], weight: dict[str, int]) -> int:
    """Least total weight of a word that contains all `words` as subsequences."""

    @cache
    def best(rest: tuple[str, ...]) -> int:
        if not any(rest):
            return 0
        options = []
        for letter in weight:
            after = tuple(word[1:] if word.startswith(letter) else word for word in rest)
            if after != rest:
                options.append(weight[letter] + best(after))
        return min(options)

    return best(words)


def test_uncapped_makespan_is_a_weighted_shortest_common_supersequence() -> None:
    """K = 1, all at 0, no caps, no start, rebatch or fill: passes are letters, requests are words."""
    for seed in range(scaled(40, 300, "brute force = shortest common supersequence")):
        random = Random(seed)
        weight = {"a": random.randint(1, 9), "b": random.randint(1, 9)}
        depths = [tuple(random.randint(1, 2) for _ in range(random.randint(1, 3))) for _ in range(random.randint(1, 3))]
        words = tuple("".join("a" if depth == 1 else "ab" for depth in one) for one in depths)
        profile = CostProfile("letters", (4,), (SegmentCost((weight["a"],)), SegmentCost((weight["b"],))),
                              (LinearCost(),), (0,))
        workload = Workload.of(2, [Request(i, 0, 0, one) for i, one in enumerate(depths)])
        found = BruteForce(workload, profile, ServerConfig(4, 4), "makespan").optimum()
        assert found == shortest_common_supersequence(words, weight), seed


def one_segment(fixed: int, per_row: int = 0) -> CostProfile:
    return CostProfile("flat", (8,), (SegmentCost((fixed,), per_row),),
                       prefill=PrefillCost(fixed=5, per_token=1))


def test_without_ramps_and_caps_everybody_runs_together() -> None:
    workload = Workload.of(1, [Request(i, 0, 0, (1,) * 3) for i in range(4)])
    assert BruteForce(workload, one_segment(10), ServerConfig(8, 8), "makespan").optimum() == 30
    assert BruteForce(workload, one_segment(10), ServerConfig(8, 8), "total-completion").optimum() == 120
    assert BruteForce(workload, one_segment(10), ServerConfig(2, 8), "makespan").optimum() == 60
    assert BruteForce(workload, one_segment(10), ServerConfig(8, 1), "makespan").optimum() == 120


def test_waiting_for_a_companion_can_pay() -> None:
    """One pass of 100 at time 0 and one at 100, or wait for the arrival at 1 and run both in one."""
    workload = Workload.of(1, [Request(0, 0, 0, (1,)), Request(1, 1, 0, (1,))])
    assert BruteForce(workload, one_segment(100), ServerConfig(2, 2), "makespan").optimum() == 101
    assert BruteForce(workload, one_segment(100), ServerConfig(2, 2), "total-completion").optimum() == 101 + 100


def test_one_prefill_serves_all_that_have_arrived() -> None:
    """Both prompts in one launch: 5 + 3 + 2; then one pass of 10 for the longer request."""
    workload = Workload.of(1, [Request(0, 0, 3, (1,)), Request(1, 0, 2, (1, 1))])
    assert BruteForce(workload, one_segment(10), ServerConfig(2, 2), "makespan").optimum() == 20
    assert BruteForce(workload, one_segment(10), ServerConfig(2, 1), "makespan").optimum() == 8 + 7 + 10
    assert BruteForce(workload, one_segment(10), ServerConfig(2, 2), "total-completion").optimum() == 10 + 20
