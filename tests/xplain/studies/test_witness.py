"""Witnesses: simple, with at least the gap; the contrast lies just across the border."""

from __future__ import annotations

from xplain.records import Dimension, Point
from xplain.search import Budget
from xplain.studies.case import Case
from xplain.studies.guarded import Guarded
from xplain.studies.probe import Probe
from xplain.studies.witness import complexity, find_witness, simpler_values, simplest


class Corner(Case):
    """Bad where x > 0.62 and y > 2; z has no effect."""

    dimensions = (Dimension("x", 0, 1), Dimension("y", 0, 9, integer=True), Dimension("z", -5, 5))
    threshold = 0.5

    def heuristic(self, point: Point) -> float:
        return 2 if point["x"] > 0.62 and point["y"] > 2 else 1

    def benchmark(self, point: Point) -> float:
        return 1


class Diagonal(Corner):
    """Good only where both are small: no single change helps."""

    def heuristic(self, point: Point) -> float:
        return 1 if point["x"] < 0.3 and point["y"] < 4 else 2


def test_a_witness_is_simple_and_its_contrast_near() -> None:
    problem = Guarded(Corner(), "corner")
    worst = problem.evaluate({"x": 0.7391, "y": 7.0, "z": 1.2345}, 5, "random")
    found = find_witness(problem, worst, [], 0.5, "all inputs", None, 100)
    assert found.relative_gap >= worst.relative_gap and found.sample == 5
    assert found.point == {"x": 1.0, "y": 9.0, "z": -5.0}
    change, = found.contrast
    assert change.dimension == "x" and 0.58 < change.after <= 0.62, "x needs 0.38 of its range, y 7/9"
    assert found.contrast_gap == 0


def test_where_no_single_change_helps_as_few_as_possible_do() -> None:
    problem = Guarded(Diagonal(), "diagonal")
    worst = problem.evaluate({"x": 0.9, "y": 8.0, "z": 0.0}, 0, "random")
    good = problem.evaluate({"x": 0.1, "y": 1.0, "z": 3.0}, 1, "random")
    found = find_witness(problem, worst, [good], 0.5, "all inputs", None, 100)
    assert {change.dimension for change in found.contrast} <= {"x", "y"} and found.contrast_gap < 0.5


def test_nothing_good_near_or_far() -> None:
    class Always(Corner):
        def heuristic(self, point: Point) -> float:
            return 3

    problem = Guarded(Always(), "always")
    worst = problem.evaluate({"x": 0.9, "y": 8.0, "z": 0.0}, 0, "random")
    assert find_witness(problem, worst, [worst], 0.5, "all inputs", None, 1).contrast == ()


def test_the_budget_bounds_the_search_for_a_witness() -> None:
    problem = Guarded(Corner(), "corner")
    worst = problem.evaluate({"x": 0.7391, "y": 7.0, "z": 1.2345}, 0, "random")
    probe = Probe(problem, Budget(2), 0)
    assert simplest(problem, worst, probe).relative_gap >= worst.relative_gap
    assert probe.evaluations == 2


def test_simpler_means_bounds_first_then_fewer_digits() -> None:
    dimension = Dimension("x", 0, 1)
    assert [complexity(dimension, value) for value in (0, 1, 0.5, 0.51, 0.123456)] == [0, 1, 3, 4, 8]
    values = list(simpler_values(dimension, 0.512))
    assert values[:2] == [0, 1] and {0.5, 0.6, 0.51, 0.52} <= set(values)
    assert all(complexity(dimension, value) < complexity(dimension, 0.512) for value in values)
    assert list(simpler_values(Dimension("c", 3, 3), 3)) == []
