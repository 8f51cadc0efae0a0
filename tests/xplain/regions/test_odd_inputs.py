"""Odd inputs: sensible words, no crash, and never a region that the samples do not support."""

from __future__ import annotations

import dataclasses
import math

import pytest

from drex_runtime.errors import InputError
from tests.xplain.regions.test_find import THRESHOLD, sampled
from tests.xplain.synthetic import SyntheticProblem, box, plane
from xplain.records import Dimension, Point, Sample
from xplain.regions import Options, RegionSearch, Slices, find_regions_with_evidence
from xplain.regions.record import Method
from xplain.search import Budget, random_search
from xplain.space import Space

BOTH: list[Method] = ["refine", "slices"]
FEW = Slices(evaluations=3000)


def drawn(problem: SyntheticProblem, count: int = 300,
          fresh: int = 300) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    samples, _ = random_search(problem, 0, Budget(evaluations=count))
    held_out, _ = random_search(problem, 0, Budget(evaluations=fresh), origin="held-out", first_index=count)
    return samples, held_out


def searched(problem: SyntheticProblem, samples: tuple[Sample, ...], held_out: tuple[Sample, ...],
             method: Method = "refine", linear: int = 2) -> RegionSearch:
    return find_regions_with_evidence(problem, samples, held_out, THRESHOLD, 0, subject="drex",
                                      options=Options(method=method, linear=linear, slices=FEW))


def with_feature(samples: tuple[Sample, ...], name: str, value: float, every: int = 1) -> tuple[Sample, ...]:
    return tuple(dataclasses.replace(sample, features={**sample.features, name: value})
                 if sample.index % every == 0 else
                 dataclasses.replace(sample, features={**sample.features, name: 0.5 + sample.index})
                 for sample in samples)


@pytest.mark.parametrize("method", BOTH)
def test_no_bad_sample(method: Method) -> None:
    problem = SyntheticProblem(lambda point: 0.0, plane())
    found = searched(problem, *drawn(problem), method)
    assert found.regions == ()
    assert found.statement == "No region: drex loses 5.0 % or more on none of the 300 inputs of the search."


def test_every_sample_bad() -> None:
    problem = SyntheticProblem(lambda point: 0.2, plane())
    found = searched(problem, *drawn(problem))
    assert [region.predicates for region in found.regions] == [()]
    assert found.unions[-1].coverage.value == 1.0
    assert found.evidence[0].without == ()


def test_every_sample_bad_by_the_papers_method() -> None:
    """Its cube grows until nothing is left to add."""
    problem = SyntheticProblem(lambda point: 0.2, plane())
    found = searched(problem, *drawn(problem), "slices")
    assert len(found.regions) == 1
    assert found.unions[-1].precision.value == 1.0


@pytest.mark.parametrize("method", BOTH)
def test_one_dimension(method: Method) -> None:
    line = Space("line", (Dimension("x", 0.0, 1.0),))
    problem = SyntheticProblem(lambda point: 0.14 * (0.4 < point["x"] <= 0.7), line)
    found = searched(problem, *drawn(problem), method)
    (region,) = found.regions
    assert [(p.relation, round(p.bound, 1)) for p in region.predicates] == [(">", 0.4), ("<=", 0.7)]


@pytest.mark.parametrize("method", BOTH)
def test_constant_dimensions_are_left_out_and_said(method: Method) -> None:
    problem = SyntheticProblem(box, plane(Dimension("fixed", 3.0, 3.0)))
    found = searched(problem, *drawn(problem), method)
    assert [(each.feature, each.reason) for each in found.excluded] == [("fixed", "the same in every sample (3)")]
    assert found.regions and all(p.feature != "fixed" for p in found.regions[0].predicates)


def test_only_constant_dimensions() -> None:
    problem = SyntheticProblem(lambda point: 0.2, Space("point", (Dimension("x", 1.0, 1.0),)))
    found = searched(problem, *drawn(problem))
    assert found.regions == ()
    assert "no feature varies" in found.statement


@pytest.mark.parametrize(("value", "word"), [(math.nan, "not a number"), (math.inf, "infinite"),
                                             (-math.inf, "infinite")])
def test_a_feature_that_is_no_number_somewhere_is_left_out_with_the_reason(value: float, word: str) -> None:
    problem = SyntheticProblem(box, plane())
    samples, held_out = drawn(problem)
    plain = searched(problem, samples, held_out)
    found = searched(problem, with_feature(samples, "odd", value, 7), with_feature(held_out, "odd", 0.0))
    assert [region.predicates for region in found.regions] == [region.predicates for region in plain.regions]
    assert found.excluded[-1].feature == "odd"
    assert found.excluded[-1].reason == f"{word} in 43 of 600 samples"
    assert f"Left out: odd ({word} in 43 of 600 samples)" in found.statement


def test_a_feature_that_is_odd_in_fresh_samples_only_is_left_out_too() -> None:
    problem = SyntheticProblem(box, plane())
    samples, held_out = drawn(problem)
    found = searched(problem, with_feature(samples, "odd", 0.0, 2), with_feature(held_out, "odd", math.nan))
    assert [each.feature for each in found.excluded] == ["odd"]


@pytest.mark.parametrize("gap", [0.0, 0.2])
@pytest.mark.parametrize("method", BOTH)
def test_a_single_sample(gap: float, method: Method) -> None:
    problem = SyntheticProblem(lambda point: gap, plane())
    samples, held_out = drawn(problem, 32, 32)
    found = searched(problem, samples[:1], held_out[:1], method)
    assert found.regions == ()
    assert found.statement.startswith("No region: drex loses 5.0 % or more on ")


def test_no_sample_at_all_is_an_error() -> None:
    problem = SyntheticProblem(box, plane())
    samples, held_out = drawn(problem, 32, 32)
    with pytest.raises(InputError, match="samples"):
        searched(problem, (), held_out)
    with pytest.raises(InputError, match="samples"):
        searched(problem, samples, ())


def test_a_feature_that_some_sample_does_not_have_is_named() -> None:
    problem, samples, held_out = sampled(box, search=40, fresh=40)
    broken = dataclasses.replace(samples[3], features={"exit_rate": 0.5})
    with pytest.raises(InputError, match="in_flight"):
        searched(problem, (*samples[:3], broken), held_out)


def test_ties_and_integer_features() -> None:
    """Few distinct values: a bound never falls between equal ones, and is whole."""
    space = Space("dice", tuple(Dimension(f"die{k}", 1, 6, integer=True) for k in range(3)))
    problem = SyntheticProblem(lambda point: 0.14 * (point["die0"] >= 5 and point["die1"] <= 2), space)
    found = searched(problem, *drawn(problem, 600, 600))
    (region,) = found.regions
    assert {(p.feature, p.relation, p.bound) for p in region.predicates} == {("die0", ">", 4.0), ("die1", "<=", 2.0)}
    assert region.sentence.startswith("die0 at least 5 and die1 at most 2")
    assert region.precision.value == region.coverage.value == 1.0


def test_every_sample_many_times() -> None:
    problem = SyntheticProblem(box, plane())
    samples, held_out = drawn(problem)
    once, often = searched(problem, samples, held_out), searched(problem, samples * 5, held_out)
    assert [{p.feature for p in region.predicates} for region in once.regions] == [
        {p.feature for p in region.predicates} for region in often.regions]
    same = searched(problem, samples[:1] * 200, held_out)
    assert same.regions == ()


def test_the_same_feature_twice_costs_no_predicate() -> None:
    def doubled(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(dataclasses.replace(s, features={**s.features, "again": s.features["exit_rate"]}) for s in samples)

    problem = SyntheticProblem(box, plane())
    samples, held_out = drawn(problem)
    (region,) = searched(problem, doubled(samples), doubled(held_out), linear=0).regions
    assert len(region.predicates) == 2


def test_huge_and_tiny_numbers() -> None:
    space = Space("scales", (Dimension("huge", 0.0, 1e300), Dimension("tiny", 0.0, 1e-300)))

    def response(point: Point) -> float:
        return 0.14 * (point["huge"] <= 3e299 and point["tiny"] > 5e-301)

    problem = SyntheticProblem(response, space)
    (region,) = searched(problem, *drawn(problem)).regions
    assert region.precision.value > 0.9 and region.coverage.value > 0.9


@pytest.mark.parametrize("field", [{"method": "guess"}, {"targets": ()}, {"targets": (0.2, 0.8)}, {"targets": (1.0,)},
                                   {"linear": 1}])
def test_options_that_make_no_sense_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(field))):
        Options(**field)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", BOTH)
def test_the_same_seed_gives_the_same_everything(method: Method) -> None:
    problem = SyntheticProblem(box, plane())
    inputs = drawn(problem)
    assert searched(problem, *inputs, method) == searched(problem, *inputs, method)
