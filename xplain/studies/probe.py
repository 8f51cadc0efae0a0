"""Single evaluations around an input: remembered, and bounded by a number and by seconds."""

from __future__ import annotations

from xplain.problems.interface import Problem
from xplain.records import Dimension, Point, Sample
from xplain.search import Budget
from xplain.search.budget import Meter
from xplain.search.incumbents import place_of


class Probe:
    """Evaluates inputs of one problem until its budget is spent."""

    def __init__(self, problem: Problem, budget: Budget, first_index: int) -> None:
        self._problem, self._meter, self._first = problem, Meter(budget), first_index
        self._known: dict[tuple[float, ...], Sample] = {}

    @property
    def evaluations(self) -> int:
        """How many inputs were evaluated."""
        return self._meter.evaluations

    def __call__(self, point: Point) -> Sample | None:
        """The sample at `point`; None once the budget is spent."""
        place = place_of(point)
        if place not in self._known:
            if not self._meter.allowed(1):
                return None
            self._known[place] = self._problem.evaluate(dict(point), self._first + self.evaluations, "hill-climbing")
            self._meter.evaluations += 1
        return self._known[place]


def changed(point: Point, dimension: Dimension, value: float) -> dict[str, float]:
    """`point` with one value replaced, inside its bounds, whole where the dimension is."""
    value = min(max(value, dimension.low), dimension.high)
    return {**point, dimension.name: float(round(value)) if dimension.integer else value}


def distance(one: Point, other: Point, dimensions: tuple[Dimension, ...]) -> float:
    """Sum over dimensions of the difference as a share of the range."""
    return sum(abs(one[each.name] - other[each.name]) / (each.high - each.low) for each in dimensions if not each.fixed)
