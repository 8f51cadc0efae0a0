"""Regions compile to exclusions: a test, clauses, and a problem whose inputs all lie outside."""

from __future__ import annotations

import numpy as np
import pytest

from drex_runtime.errors import LimitError
from tests.xplain.regions.test_find import THRESHOLD, sampled, two_boxes
from tests.xplain.synthetic import FirstFitProblem, SyntheticProblem, plane
from xplain.records import Predicate, Rate, Region
from xplain.regions import Linear, excluding, find_regions, outside
from xplain.search import Budget, portfolio

NOTHING = Rate(0.0, 0.0, 1.0, 0)


def region(*predicates: Predicate) -> Region:
    return Region("R", "operating", predicates, "", NOTHING, NOTHING, NOTHING, 0.0, 1.0, False, -1)


def test_outside_is_where_no_region_holds() -> None:
    _, samples, held_out = sampled(two_boxes, search=1600)
    found = find_regions(SyntheticProblem(two_boxes, plane()), samples, held_out, THRESHOLD, 0)
    test = outside(found)
    assert len(test.clauses) == len(found) == 2
    for sample in held_out:
        assert test(sample.features) == (not any(each.holds(sample.features) for each in found))


def test_clauses_are_the_negated_predicates() -> None:
    test = outside([region(Predicate("x", ">", 1.0), Predicate("y", "<=", 2.0)), region(Predicate("x", "<=", 0.0))])
    assert test.clauses == ((Predicate("x", "<=", 1.0), Predicate("y", ">", 2.0)), (Predicate("x", ">", 0.0),))


def test_derived_features_are_computed_where_they_are_left_out() -> None:
    total = Linear("x + y", (("x", 1.0), ("y", 1.0)))
    test = outside([region(Predicate("x + y", ">", 1.0))], (total,))
    assert test({"x": 0.4, "y": 0.6}) and not test({"x": 0.5, "y": 0.6})


@pytest.mark.parametrize("seed", range(2))
def test_every_search_method_stays_outside_and_finds_what_is_left(seed: int) -> None:
    problem, samples, held_out = sampled(two_boxes, search=1600)
    first = find_regions(problem, samples, held_out, THRESHOLD, 0)[:1]
    left = excluding(problem, first)
    found = portfolio(left, Budget(evaluations=400), seed).samples
    assert len({sample.origin for sample in found}) == 5
    assert not any(first[0].holds(sample.features) for sample in found)
    assert max(sample.relative_gap for sample in found) > 0.08
    again = portfolio(excluding(problem, first), Budget(evaluations=400), seed).samples
    assert [sample.point for sample in again] == [sample.point for sample in found]


def test_samples_outside_are_true_ones() -> None:
    problem, samples, _ = sampled(two_boxes, search=64)
    left = excluding(problem, [region(Predicate("exit_rate", "<=", 0.9))])
    for sample in samples[:32]:
        moved = left.evaluate(sample.point, sample.index, "random")
        assert moved == problem.evaluate(moved.point, sample.index, "random")
        assert moved.point["exit_rate"] > 0.9


def test_sums_of_sizes_are_excluded_in_first_fit() -> None:
    problem = FirstFitProblem()
    total = Linear("B2 + B3", (("B2", 1.0), ("B3", 1.0)))
    left = excluding(problem, [region(Predicate("B2 + B3", ">", 1.0))], (total,))
    found = portfolio(left, Budget(evaluations=300), 0).samples
    assert all(sample.point["B2"] + sample.point["B3"] <= 1.0 for sample in found)
    assert not any(sample.gap for sample in found)  # both fit into one bin: nothing is lost


def test_regions_that_leave_nothing_are_said() -> None:
    problem, _, _ = sampled(two_boxes, search=64)
    with pytest.raises(LimitError, match="none of 10000 inputs drawn lies outside"):
        excluding(problem, [region()]).draw(np.random.default_rng(0))
