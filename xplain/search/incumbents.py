"""What all methods of a search know together: every sample, and the best inputs in order."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

import numpy as np

from drex_runtime.errors import InputError
from xplain.problems.interface import Problem
from xplain.records import Point, Sample


def place_of(point: Point) -> tuple[float, ...]:
    """A point as a key (its dimensions always come in one order)."""
    return tuple(point.values())


class Incumbents:
    """Samples in the order they were added, and ranked: largest gap first, earliest of equals, each input once."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples: list[Sample] = []
        self.ranked: list[Sample] = []
        self._places: set[tuple[float, ...]] = set()
        self.add(samples)
        if not self.samples:
            raise InputError("search", "start", "no samples", "at least one evaluated input")

    def add(self, samples: Iterable[Sample]) -> None:
        """Make samples known to all methods."""
        for sample in samples:
            self.samples.append(sample)
            place = place_of(sample.point)
            if place not in self._places:
                self._places.add(place)
                insort(self.ranked, sample, key=lambda item: (-item.relative_gap, item.index))

    @property
    def best(self) -> Sample:
        """The largest gap known."""
        return self.ranked[0]

    @property
    def spread(self) -> float:
        """Standard deviation of all gaps, 0.01 if they are equal: the scale on which differences count."""
        return float(np.std([sample.relative_gap for sample in self.samples])) or 0.01


def different(problem: Problem, point: Point, rng: np.random.Generator, width: float, retries: int) -> Point:
    """A neighbour that differs from `point`; after `retries` steps that went nowhere, whatever came last."""
    proposal = point
    for _ in range(retries):
        proposal = problem.neighbour(point, rng, width)
        if proposal != point:
            break
    return proposal
