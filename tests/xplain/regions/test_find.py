"""Regions: planted boxes come back, noise does not, and what is printed is what fresh samples say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.scale import scaled
from tests.xplain.synthetic import Response, SyntheticProblem, box, plane
from xplain.records import Dimension, Point, Region, Sample
from xplain.regions import find_regions
from xplain.search import Budget, portfolio, random_search

THRESHOLD = 0.05


def sampled(response: Response, *, noise: float = 0.02, seed: int = 0, search: int = 1000, fresh: int = 1000,
            extra: tuple[Dimension, ...] = ()) -> tuple[SyntheticProblem, tuple[Sample, ...], tuple[Sample, ...]]:
    problem = SyntheticProblem(response, plane(*extra), noise=noise, threshold=THRESHOLD)
    outcome = portfolio(problem, Budget(evaluations=search), seed)
    held_out, _ = random_search(problem, seed, Budget(evaluations=fresh), origin="held-out", first_index=search)
    return problem, outcome.samples, held_out


def bounds(region: Region) -> dict[tuple[str, str], float]:
    return {(predicate.feature, predicate.relation): predicate.bound for predicate in region.predicates}


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_box_is_found_with_its_two_predicates_and_no_decoys(seed: int) -> None:
    decoys = tuple(Dimension(f"decoy{k}", 0.0, 1.0) for k in range(5))
    (region,) = find_regions(*sampled(box, seed=seed, extra=decoys), THRESHOLD, seed, subject="drex")
    found = bounds(region)
    assert set(found) == {("exit_rate", "<="), ("in_flight", ">")}
    assert abs(found["exit_rate", "<="] - 0.31) <= 0.03
    assert abs(found["in_flight", ">"] - 12) <= 2
    assert region.precision.value > 0.9
    assert region.coverage.value > 0.9
    assert region.significant
    assert region.p_value < 1e-6
    assert abs(region.mean_gap - 0.14) < 0.02


def test_scores_are_those_of_the_held_out_samples() -> None:
    problem, samples, held_out = sampled(box)
    (region,) = find_regions(problem, samples, held_out, THRESHOLD, 0)
    inside = [sample for sample in held_out if region.holds(sample.features)]
    bad = [sample for sample in held_out if sample.relative_gap >= THRESHOLD]
    both = [sample for sample in inside if sample.relative_gap >= THRESHOLD]
    assert (region.precision.value, region.precision.of) == (len(both) / len(inside), len(inside))
    assert (region.coverage.value, region.coverage.of) == (len(both) / len(bad), len(bad))
    assert (region.share.value, region.share.of) == (len(inside) / len(held_out), len(held_out))
    assert region.mean_gap == pytest.approx(np.mean([sample.relative_gap for sample in inside]))
    searched = {sample.index: sample for sample in samples}
    largest = max(sample.relative_gap for sample in samples if region.holds(sample.features))
    assert searched[region.worst].relative_gap == largest


def two_boxes(point: Point) -> float:
    if point["exit_rate"] <= 0.2 and point["in_flight"] <= 24:
        return 0.2
    return 0.1 if point["exit_rate"] > 0.75 and point["prompt"] > 300 else 0.0


def test_two_separate_boxes_become_two_regions_the_costlier_first() -> None:
    first, second, *more = find_regions(*sampled(two_boxes, search=1600), THRESHOLD, 0)
    assert not more
    assert [first.name, second.name] == ["R1", "R2"]
    assert first.share.value * first.mean_gap >= second.share.value * second.mean_gap
    assert first.worst != second.worst
    assert {frozenset(f for f, _ in bounds(region)) for region in (first, second)} == {
        frozenset({"exit_rate", "in_flight"}), frozenset({"exit_rate", "prompt"})}
    assert min(first.precision.value, second.precision.value) > 0.9


def corner(point: Point) -> float:
    return 0.2 if point["exit_rate"] <= 0.3 or point["in_flight"] <= 16 else 0.0


def test_the_arms_of_an_angle_may_overlap_but_each_has_its_own_worst_sample() -> None:
    problem, samples, held_out = sampled(corner, search=1600)
    first, second = find_regions(problem, samples, held_out, THRESHOLD, 0)
    assert {len(first.predicates), len(second.predicates)} <= {1, 2}
    by_index = {sample.index: sample for sample in samples}
    assert second.holds(by_index[second.worst].features)
    assert not first.holds(by_index[second.worst].features)
    covered = [s for s in held_out if first.holds(s.features) or second.holds(s.features)]
    bad = [s for s in held_out if s.relative_gap >= THRESHOLD]
    assert sum(s in covered for s in bad) > 0.95 * len(bad)


def rare(point: Point) -> float:
    return 0.3 if point["exit_rate"] <= 0.12 and point["in_flight"] > 50 else 0.0


def test_a_rare_box_is_found_because_annealing_points_at_it() -> None:
    (region,) = find_regions(*sampled(rare, noise=0.01, search=2000, fresh=2000), THRESHOLD, 0)
    assert region.precision.value > 0.8
    assert region.coverage.value > 0.7


def test_no_predicate_can_be_dropped() -> None:
    problem, samples, held_out = sampled(two_boxes, search=1600)
    for region in find_regions(problem, samples, held_out, THRESHOLD, 0):
        for predicate in region.predicates:
            rest = [p for p in region.predicates if p is not predicate]
            inside = [s for s in held_out if all(p.holds(s.features) for p in rest)]
            wider = np.mean([s.relative_gap >= THRESHOLD for s in inside])
            assert wider < region.precision.value - 0.05


def test_a_loss_everywhere_is_said_without_predicates() -> None:
    problem, samples, held_out = sampled(lambda point: 0.2)
    (region,) = find_regions(problem, samples, held_out, THRESHOLD, 0, subject="drex")
    assert region.predicates == ()
    assert region.sentence == "everywhere: drex loses 20 % on average"
    assert region.coverage.value == 1.0
    assert region.significant


def test_where_nothing_is_lost_there_is_no_region() -> None:
    assert find_regions(*sampled(lambda point: 0.0, noise=0.0), THRESHOLD, 0) == ()
    assert find_regions(*sampled(lambda point: -0.3), THRESHOLD, 0) == ()


def test_a_difference_below_half_the_threshold_is_no_region_however_certain() -> None:
    """Gaps of 0.050 against 0.049: every sample inside is bad, the test is sure, the effect is nothing."""
    problem, samples, held_out = sampled(
        lambda point: 0.0505 if point["exit_rate"] <= 0.31 else 0.0495, noise=0.0)
    assert find_regions(problem, samples, held_out, THRESHOLD, 0) == ()
    (rejected,) = find_regions(problem, samples, held_out, THRESHOLD, 0, keep_rejected=True)
    assert rejected.p_value < 1e-6
    assert not rejected.significant


def shuffled(samples: tuple[Sample, ...], rng: np.random.Generator) -> tuple[Sample, ...]:
    order = rng.permutation(len(samples))
    return tuple(dataclasses.replace(sample, heuristic=samples[k].heuristic)
                 for sample, k in zip(samples, order, strict=True))


def test_shuffled_gaps_yield_a_region_in_at_most_five_per_cent_of_runs() -> None:
    runs = scaled(40, 400)
    problem, samples, held_out = sampled(box, search=500, fresh=400)
    drawn = tuple(sample for sample in samples if sample.origin == "random")
    found = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        mixed = shuffled(drawn + held_out, rng)
        regions = find_regions(problem, mixed[:len(drawn)], mixed[len(drawn):], THRESHOLD, seed)
        found += bool(regions)
    print(f"a significant region in {found} of {runs} runs on shuffled gaps")
    assert found <= max(2, 0.05 * runs)


def test_results_are_the_same_every_time() -> None:
    inputs = sampled(two_boxes)
    assert find_regions(*inputs, THRESHOLD, 7) == find_regions(*inputs, THRESHOLD, 7)
