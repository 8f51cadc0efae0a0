"""Hill climbing: the best of a few neighbours, again and again; stuck, it goes on from the next best incumbent.

Steps shrink while nothing improves, down to a single structural move. Equal gaps are accepted: schedules make plateaus.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Origin, Point, Sample
from xplain.search.incumbents import Incumbents, different, place_of
from xplain.search.method import RETRIES

STREAM = 3
NEIGHBOURS = 8
PATIENCE = 6  # batches without an improvement before it starts elsewhere
WIDTH, SHRINK = 0.2, 0.6


class HillClimbing:
    """One climber."""

    name: Origin = "hill-climbing"

    def __init__(self, problem: Problem, incumbents: Incumbents, seed: int) -> None:
        self._problem, self._incumbents = problem, incumbents
        self._rng = np.random.default_rng((seed, STREAM))
        self._climbed: set[tuple[float, ...]] = set()
        self._current: Sample | None = None
        self._failures = 0

    def ask(self, spent: float) -> list[Point]:
        """Neighbours of the current input."""
        if self._current is None or self._failures >= PATIENCE:
            self._current, self._failures = self._start(), 0
            self._climbed.add(place_of(self._current.point))
        width = WIDTH * SHRINK ** self._failures
        return [different(self._problem, self._current.point, self._rng, width, RETRIES) for _ in range(NEIGHBOURS)]

    def tell(self, found: Sequence[Sample | None]) -> None:
        """Step to the best of them unless it is worse."""
        evaluated = [sample for sample in found if sample is not None]
        if not evaluated or self._current is None:
            return
        best = max(evaluated, key=lambda sample: sample.relative_gap)
        self._failures = 0 if best.relative_gap > self._current.relative_gap else self._failures + 1
        if best.relative_gap >= self._current.relative_gap:
            self._current = best
            self._climbed.add(place_of(best.point))

    def _start(self) -> Sample:
        """The best incumbent, whoever found it, from which no climb has begun or passed; the best if there is none."""
        fresh = (sample for sample in self._incumbents.ranked if place_of(sample.point) not in self._climbed)
        return next(fresh, self._incumbents.best)
