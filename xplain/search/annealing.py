"""Simulated annealing over inputs: several chains in step, restarted from the incumbents.

Accepts a worse input with probability exp(difference / temperature); temperature and step width fall geometrically
within each restart. Source: Kirkpatrick, Gelatt and Vecchi (1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Origin, Point, Sample
from xplain.search.incumbents import Incumbents, different
from xplain.search.method import RETRIES

STREAM = 2


@dataclass(frozen=True)
class Schedule:
    """How the chains cool. Widths are shares of a dimension's range, temperatures shares of the spread of the gaps.

    `chains` proposals are evaluated as one batch. Of the chains of a restart, `elite` of them start from the best
    inputs known, the others from random picks among the best `pool` share of all of them.
    """

    chains: int = 8
    restarts: int = 3
    elite: float = 0.5
    pool: float = 0.25
    width_hot: float = 0.4
    width_cold: float = 0.03
    temperature_hot: float = 0.5
    temperature_cold: float = 0.01

    def width(self, cooled: float) -> float:
        """Step width when a share `cooled` of the restart is over."""
        return _geometric(self.width_hot, self.width_cold, cooled)

    def temperature(self, cooled: float) -> float:
        """Temperature relative to the spread of the gaps."""
        return _geometric(self.temperature_hot, self.temperature_cold, cooled)


class Annealing:
    """Chains that cool while the budget is spent."""

    name: Origin = "annealing"

    def __init__(self, problem: Problem, incumbents: Incumbents, seed: int, schedule: Schedule | None = None) -> None:
        self._problem, self._incumbents = problem, incumbents
        self._schedule = schedule or Schedule()
        self._rng = np.random.default_rng((seed, STREAM))
        self._spread = incumbents.spread
        self._restart = -1
        self._current: list[Sample] = []
        self._thresholds = np.zeros(0)

    def ask(self, spent: float) -> list[Point]:
        """One proposal per chain."""
        schedule = self._schedule
        progressed = spent * schedule.restarts
        if int(progressed) != self._restart:
            self._restart = int(progressed)
            self._current = self._starts()
        cooled = progressed - self._restart
        points = [different(self._problem, sample.point, self._rng, schedule.width(cooled), RETRIES)
                  for sample in self._current]
        draws = np.maximum(self._rng.random(len(points)), 1e-300)
        self._thresholds = np.log(draws) * schedule.temperature(cooled) * self._spread
        return points

    def tell(self, found: Sequence[Sample | None]) -> None:
        """Move the chains that accept."""
        for chain, sample in enumerate(found):
            if sample is not None and \
                    self._thresholds[chain] < sample.relative_gap - self._current[chain].relative_gap:
                self._current[chain] = sample

    def _starts(self) -> list[Sample]:
        """One start per chain: the best inputs known, each once, then random picks among the good ones."""
        schedule, ranked = self._schedule, self._incumbents.ranked
        elite = ranked[:max(1, round(schedule.elite * schedule.chains))]
        pool = ranked[:max(len(elite), round(schedule.pool * len(ranked)))]
        others = self._rng.integers(0, len(pool), schedule.chains - len(elite))
        return elite + [pool[int(k)] for k in others]


def _geometric(hot: float, cold: float, cooled: float) -> float:
    return float(hot * (cold / hot) ** cooled)
