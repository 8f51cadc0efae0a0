"""A part of the search is spent outside of the regions found before it: a small region beside a large one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from xplain.records import Dimension, Point, Sample
from xplain.regions import find_regions
from xplain.search import Budget, portfolio
from xplain.studies import Case
from xplain.studies import analyze as study
from xplain.studies.guarded import Guarded
from xplain.studies.outside import ROUNDS, SHARE, kept_back, search_outside, together
from xplain.studies.request import StudyRequest
from xplain.studies.sampling import fresh_samples

THRESHOLD = 0.05


class TwoBoxes(Case):
    """16 % of inputs lose 22 to 30 %, and 2 % elsewhere lose 10 %: whatever seeks large gaps goes to the former."""

    dimensions = tuple(Dimension(f"x{k}", 0.0, 1.0) for k in range(1, 6))
    threshold = THRESHOLD

    def heuristic(self, point: Point) -> float:
        if point["x1"] <= 0.4 and point["x2"] <= 0.4:
            return 1.3 - 0.2 * point["x1"]
        return 1.1 if small(point) else 1.0

    def benchmark(self, point: Point) -> float:
        return 1.0


class Everywhere(TwoBoxes):
    def heuristic(self, point: Point) -> float:
        return 1.2


class Nowhere(TwoBoxes):
    def heuristic(self, point: Point) -> float:
        return 1.0


def small(point: Point) -> bool:
    return point["x3"] > 0.85 and point["x4"] > 0.85


def quiet(_: str) -> None:
    pass


def test_a_small_region_beside_a_large_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "write_study_report", lambda *_: None)
    problem, seed, count = Guarded(TwoBoxes(), "test"), 1, 600
    held_out = fresh_samples(problem, seed, 1500, None, 1, quiet)
    plain = portfolio(problem, Budget(count), seed)
    assert len(find_regions(problem, plain.samples, held_out, THRESHOLD, seed)) == 1
    request = StudyRequest("two boxes", evaluations=count, held_out=1500, seed=seed)
    found = study.analyze_study(request, problem, tmp_path / "run")
    assert found.num_samples["search"] == count  # no more inputs than before
    first, second = found.regions
    assert {p.feature for p in first.predicates} == {"x1", "x2"}
    assert {p.feature for p in second.predicates} == {"x3", "x4"} and second.precision.value > 0.9
    assert found.sizes[-1].reported and len(found.sizes) >= 3
    assert {trace.method for trace in found.traces} >= {"random", "random outside", "hill-climbing outside"}
    assert any("outside of the regions known by then" in limit for limit in found.limits)


def outside_of(problem: Guarded, count: int = 200) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Samples of the search before, and those outside."""
    before, each = kept_back(Budget(count))
    assert each is not None
    first = portfolio(problem, before, 0)
    held_out = fresh_samples(problem, 0, 300, None, 1, quiet)
    found = search_outside(problem, first, held_out, THRESHOLD, 0, each, 1, quiet)
    every = together(first, found).samples
    assert [sample.index for sample in every] == list(range(len(every)))
    return first.samples, found.samples


def test_inputs_outside_are_true_ones_and_do_not_count_as_drawn() -> None:
    problem = Guarded(TwoBoxes(), "test")
    before, found = outside_of(problem)
    assert len(before) + len(found) == 200 and len(found) == round(SHARE * 200)
    assert not any(sample.unbiased for sample in found) and "outside" in {sample.origin for sample in found}
    assert not any(sample.point["x1"] <= 0.35 and sample.point["x2"] <= 0.35 for sample in found)
    for sample in found:
        assert problem.evaluate(sample.point, sample.index, sample.origin) == sample


def test_without_a_region_the_search_goes_on_with_other_inputs() -> None:
    before, found = outside_of(Guarded(Nowhere(), "test"))
    assert len(found) == round(SHARE * 200) and {sample.origin for sample in found} >= {"random"}
    drawn = [tuple(sample.point.values()) for sample in (*before, *found) if sample.unbiased]
    assert len(set(drawn)) == len(drawn)


def test_a_region_that_is_everything_leaves_nothing_to_search() -> None:
    assert outside_of(Guarded(Everywhere(), "test"))[1] == ()


def test_a_tiny_budget_is_not_divided() -> None:
    assert kept_back(Budget(9)) == (Budget(9), None)
    before, each = kept_back(Budget(10))
    assert each == Budget(1) and before == Budget(10 - ROUNDS)
    assert kept_back(Budget(None, 10.0)) == (Budget(None, 8.0), Budget(None, 1.0))
