"""First fit, four balls, the paper's box: the published region and what is found, scored by the same code."""

from __future__ import annotations

from functools import lru_cache

import pytest

from tests.scale import scaled
from tests.xplain.synthetic import FirstFitProblem, fewest_bins, first_fit
from xplain.records import Predicate, Rate, Sample
from xplain.regions import Options, find_regions_with_evidence, judge_regions, with_linear
from xplain.regions.record import Linear
from xplain.search import Budget, random_search

PROBLEM = FirstFitProblem(with_sum=True)
ONE_BIN = 1.0
PUBLISHED = (Predicate("sum", ">", 1.5), Predicate("B1", "<=", 0.5))


@lru_cache(maxsize=8)
def drawn(seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    samples, _ = random_search(PROBLEM, seed, Budget(evaluations=2000))
    fresh, _ = random_search(PROBLEM, seed, Budget(evaluations=2000), origin="held-out", first_index=2000)
    return samples, fresh


def test_golden_packing() -> None:
    balls = [10_000, 490_000, 510_000, 510_000]
    assert (first_fit(balls, 1_000_000), fewest_bins(balls, 1_000_000)) == (3, 2)


def test_the_published_region_holds_for_about_a_third_of_its_points() -> None:
    fresh, _ = random_search(PROBLEM, 7, Budget(evaluations=6000), origin="held-out")
    (region,) = judge_regions(PROBLEM, [PUBLISHED], fresh, ONE_BIN, 0, subject="first fit")
    assert abs(region.precision.value - 0.34) < 0.03
    assert abs(region.coverage.value - 0.74) < 0.05
    assert region.sentence.startswith("ball 1 at most 0.5 and all balls together above 1.5: first fit loses")


@pytest.mark.parametrize("seed", range(scaled(2, 12, "first fit in the paper's box")))
def test_the_union_of_the_regions_found_is_precise_and_complete(seed: int) -> None:
    samples, fresh = drawn(seed)
    found = find_regions_with_evidence(PROBLEM, samples, fresh, ONE_BIN, seed, options=Options(linear=3), curves=False)
    union = found.unions[-1]
    print(f"first fit, seed {seed}: {union.regions} regions, precision {shown(union.precision)}, "
          f"coverage {shown(union.coverage)}")
    assert union.precision.low >= 0.95 and union.coverage.low >= 0.9
    assert all(region.significant for region in found.regions)
    assert sum(len(region.predicates) for region in found.regions) <= 12


def shown(rate: Rate) -> str:
    return f"{rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f})"


def test_the_regions_say_when_the_third_bin_is_opened() -> None:
    """Balls 2 and 3 fit neither beside balls 0 and 1 nor beside each other, but one of them fits beside ball 1."""
    samples, fresh = drawn(0)
    found = find_regions_with_evidence(PROBLEM, samples, fresh, ONE_BIN, 0, subject="first fit",
                                       options=Options(linear=3), curves=False)
    first = found.regions[0]
    sums = {predicate.feature: predicate.relation for predicate in first.predicates}
    assert sums.get("B2 + B3") == ">"
    assert {"B1 + B2", "B1 + B3"} & {name for name, relation in sums.items() if relation == "<="}
    assert "ball 2 plus ball 3 above 1" in first.sentence
    assert {each.name for each in found.linear} >= set(sums) - {"B0", "B1", "B2", "B3", "sum"}


def test_a_stated_union_of_sums_is_scored_too() -> None:
    """What theory says: two conjunctions over sums, right for every input."""
    sums = tuple(Linear(" + ".join(f"B{k}" for k in members), tuple((f"B{k}", 1.0) for k in members))
                 for members in ((1, 2), (1, 3), (2, 3), (0, 1, 2), (0, 1, 3)))
    third = [Predicate("B2 + B3", ">", 1.0), Predicate("B0 + B1 + B2", ">", 1.0), Predicate("B0 + B1 + B3", ">", 1.0)]
    stated = [[Predicate(name, "<=", 1.0), *third] for name in ("B1 + B2", "B1 + B3")]
    _, fresh = drawn(0)
    regions = judge_regions(PROBLEM, stated, fresh, ONE_BIN, 0, linear=sums)
    held = [any(region.holds(sample.features) for region in regions) for sample in with_linear(fresh, sums)]
    wrong = sum(inside != (sample.relative_gap >= ONE_BIN) for inside, sample in zip(held, fresh, strict=True))
    assert wrong <= 2  # sizes are rounded to 1e-6 before they are packed
    assert all(region.precision.value > 0.99 for region in regions)
