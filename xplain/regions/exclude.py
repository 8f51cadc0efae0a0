"""Regions compiled to exclusions: a test, clauses for a solver, and a problem whose inputs all lie outside.

An input is outside if in every region at least one predicate fails: a conjunction (over regions) of disjunctions (over
negated predicates), which is the form solvers take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import LimitError
from xplain.problems.interface import Problem
from xplain.records import Dimension, Origin, Point, Predicate, Region, Sample, Scale
from xplain.regions.linear import extended
from xplain.regions.record import Linear

DRAWS = 10_000
STEPS = 64
WIDTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
Features = Callable[[Point], Point]


@dataclass(frozen=True)
class Outside:
    """Outside of all regions. `clauses`: per region the negated predicates, of which at least one has to hold; a region
    without predicates gives an empty clause, which nothing satisfies. `linear`: derived features they are over."""

    clauses: tuple[tuple[Predicate, ...], ...]
    linear: tuple[Linear, ...] = ()

    def __call__(self, features: Point) -> bool:
        """Whether an input with these features (derived ones may be left out) lies outside."""
        known = extended(features, self.linear)
        return all(any(predicate.holds(known) for predicate in clause) for clause in self.clauses)


def outside(regions: Sequence[Region], linear: tuple[Linear, ...] = ()) -> Outside:
    """What being outside of all `regions` means."""
    return Outside(tuple(tuple(negated(predicate) for predicate in region.predicates) for region in regions), linear)


def negated(predicate: Predicate) -> Predicate:
    """Holds exactly where the predicate does not (for numbers: NaN fails both)."""
    return Predicate(predicate.feature, ">" if predicate.relation == "<=" else "<=", predicate.bound)


class Excluding:
    """The same problem without the inputs inside some regions: any search method seeks outside of them.

    Draws from the declared distribution are repeated until one lies outside. An input inside that a method asks for is
    moved out by neighbour moves, narrow ones first, and the input it ends at is evaluated: every sample is a true one.
    Raises LimitError where no input outside is found.
    """

    def __init__(self, problem: Problem, allowed: Outside, features: Features) -> None:
        self._problem, self._allowed, self._features = problem, allowed, features

    @property
    def scale(self) -> Scale:
        """As the problem."""
        return self._problem.scale

    @property
    def threshold(self) -> float:
        """As the problem."""
        return self._problem.threshold

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """As the problem."""
        return self._problem.dimensions

    def describe(self, feature: str) -> tuple[str, str]:
        """As the problem."""
        return self._problem.describe(feature)

    def allows(self, point: Point) -> bool:
        """Whether an input lies outside."""
        return self._allowed(self._features(point))

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """From the declared distribution, given that it lies outside."""
        for _ in range(DRAWS):
            point = self._problem.draw(rng)
            if self.allows(point):
                return point
        raise LimitError(f"none of {DRAWS} inputs drawn lies outside the excluded regions: they leave (nearly) nothing")

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """A neighbour outside, if there is one within a few moves; else `point`."""
        for _ in range(STEPS):
            moved = self._problem.neighbour(point, rng, width)
            if self.allows(moved):
                return moved
        return dict(point)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """The input itself, or the one outside that it is moved to. Deterministic: the moves depend on the input."""
        return self._problem.evaluate(point if self.allows(point) else self._moved_out(point), index, origin)

    def _moved_out(self, point: Point) -> Point:
        rng = np.random.default_rng(list(np.array(list(point.values()), dtype=np.float64).view(np.uint32)))
        for width in WIDTHS:
            for _ in range(STEPS):
                moved = self._problem.neighbour(point, rng, width)
                if self.allows(moved):
                    return moved
        return self.draw(rng)


def excluding(problem: Problem, regions: Sequence[Region], linear: tuple[Linear, ...] = (),
              features: Features | None = None) -> Excluding:
    """The problem outside of `regions`. `features`: those of an input without evaluating it; default: the problem's own
    `features` if it has one, else the input's dimensions (KeyError if the regions are over anything else)."""
    own: Features | None = features or getattr(problem, "features", None)
    return Excluding(problem, outside(regions, linear), own or (lambda point: point))
