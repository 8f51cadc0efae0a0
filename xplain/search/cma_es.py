"""CMA-ES with margin: a normal distribution over inputs that follows their gaps, for whole and real dimensions.

Coordinates are shares of a dimension's range; the margin keeps every value of a whole dimension reachable. Starts at
the best incumbent and, when it has contracted, again at the best one that it has not started from, wider and with a
larger population each time (IPOP). Source: Hamano, Saito, Nomura and Shirakawa (2022); Auger and Hansen (2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cmaes import CMAwM

from xplain.problems.interface import Problem
from xplain.records import Dimension, Origin, Point, Sample
from xplain.search.incumbents import Incumbents, place_of
from xplain.space import share_of, value_at

STREAM = 5
STEP, WIDEST_STEP, WIDER = 0.15, 0.45, 1.5
GROWTH, LARGEST = 2, 64  # of the population, per restart
STALLED = 12  # generations without an improvement of its own best
MINIMUM_DIMENSIONS = 2  # a covariance needs as many


class CovarianceAdaptation:
    """One distribution at a time over the free dimensions, at least MINIMUM_DIMENSIONS; the others stay as they are."""

    name: Origin = "cma-es"

    def __init__(self, problem: Problem, incumbents: Incumbents, seed: int) -> None:
        self._incumbents, self._seed = incumbents, seed
        self._dimensions = problem.dimensions
        self._free = [dimension for dimension in problem.dimensions if not dimension.fixed]
        self._restarts = 0
        self._used: set[tuple[float, ...]] = set()
        self._best, self._stalled = float("-inf"), 0
        self._optimizer = self._restarted()
        self._asked: list[npt.NDArray[np.float64]] = []

    def ask(self, spent: float) -> list[Point]:
        """One generation."""
        if self._optimizer.should_stop() or self._stalled >= STALLED:
            self._optimizer = self._restarted()
        points = []
        self._asked = []
        for _ in range(self._optimizer.population_size):
            encoded, raw = self._optimizer.ask()
            self._asked.append(raw)
            points.append(self._point(encoded))
        return points

    def tell(self, found: Sequence[Sample | None]) -> None:
        """Adapt to a whole generation; one that the end of the budget cut is left out."""
        evaluated = [sample for sample in found if sample is not None]
        if len(evaluated) < len(self._asked):
            return
        best = max(sample.relative_gap for sample in evaluated)
        self._stalled = 0 if best > self._best else self._stalled + 1
        self._best = max(self._best, best)
        self._optimizer.tell([(raw, -sample.relative_gap) for raw, sample in zip(self._asked, evaluated, strict=True)])

    def _restarted(self) -> CMAwM:
        ranked = self._incumbents.ranked
        start = next((sample for sample in ranked if place_of(sample.point) not in self._used), ranked[0])
        self._used.add(place_of(start.point))
        self._best, self._stalled = float("-inf"), 0
        size = min(LARGEST, (4 + int(3 * np.log(len(self._free)))) * GROWTH ** self._restarts)
        step = min(WIDEST_STEP, STEP * WIDER ** self._restarts)
        self._restarts += 1
        bounds = np.array([_bounds(dimension) for dimension in self._free])
        mean = np.array([_coordinate(dimension, start.point[dimension.name]) for dimension in self._free])
        return CMAwM(np.clip(mean, bounds[:, 0], bounds[:, 1]), step, bounds,
                     np.array([1 / _values(dimension) if _even(dimension) else 0.0 for dimension in self._free]),
                     seed=(self._seed * 1_000_003 + 1_009 * self._restarts + STREAM) % 2**32, population_size=size)

    def _point(self, encoded: npt.NDArray[np.float64]) -> Point:
        free = {dimension.name: _value(dimension, float(share))
                for dimension, share in zip(self._free, encoded, strict=True)}
        return {dimension.name: free.get(dimension.name, dimension.low) for dimension in self._dimensions}


def _even(dimension: Dimension) -> bool:
    """Whether its values lie in equal steps; whole dimensions on a log scale are searched as real ones and rounded."""
    return dimension.integer and not dimension.log


def _values(dimension: Dimension) -> int:
    return int(dimension.high) - int(dimension.low) + 1


def _bounds(dimension: Dimension) -> tuple[float, float]:
    half = 0.5 / _values(dimension) if _even(dimension) else 0.0
    return half, 1 - half


def _coordinate(dimension: Dimension, value: float) -> float:
    return (value - dimension.low + 0.5) / _values(dimension) if _even(dimension) else share_of(dimension, value)


def _value(dimension: Dimension, share: float) -> float:
    return value_at(dimension, min(max(share, 0.0), 1 - 1e-12))
