"""Tree-structured Parzen estimator (optuna): proposes where good inputs are dense and bad ones are not.

Samples of the other methods are its observations too. Its cost per proposal grows with them, so of the samples known at
its first turn it takes the best OBSERVED_BEST and OBSERVED_OTHERS of the others, evenly; later ones it takes only where
they improve on the incumbent. Dimensions of few values are categories, the others shares of their range, whole or not:
optuna's own whole dimensions cost several times as much per proposal. Source: Bergstra, Bardenet, Bengio and Kegl
(2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from xplain.problems.interface import Problem
from xplain.records import Dimension, Origin, Point, Sample
from xplain.search.incumbents import Incumbents
from xplain.space import share_of, value_at

STREAM = 4
BATCH = 8
OBSERVED_BEST, OBSERVED_OTHERS = 50, 150
FEW_VALUES = 5


class TreeParzen:
    """A study over the free dimensions; the others stay as they are."""

    name: Origin = "tpe"

    def __init__(self, problem: Problem, incumbents: Incumbents, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._incumbents = incumbents
        self._dimensions = problem.dimensions
        self._distributions = {dimension.name: _distribution(dimension) for dimension in problem.dimensions
                               if not dimension.fixed}
        # The seed of a sampler is one number: streams are kept apart by a prime.
        sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + STREAM) % 2**32, multivariate=True,
                                             n_startup_trials=0)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._asked: list[optuna.Trial] = []
        self._read = 0  # of the incumbents' samples
        self._best = float("-inf")

    def ask(self, spent: float) -> list[Point]:
        """A batch of proposals."""
        self._observe()
        self._asked = [self._study.ask(self._distributions) for _ in range(BATCH)]
        return [self._point(trial) for trial in self._asked]

    def tell(self, found: Sequence[Sample | None]) -> None:
        """Gaps of the proposals; those that were not evaluated count as failed."""
        for trial, sample in zip(self._asked, found, strict=True):
            if sample is None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, sample.relative_gap)

    def _observe(self) -> None:
        new = self._incumbents.samples[self._read:]
        if not self._read:
            ranked = sorted(new, key=lambda sample: (-sample.relative_gap, sample.index))
            others = ranked[OBSERVED_BEST:]
            kept = min(len(others), OBSERVED_OTHERS)
            chosen = ranked[:OBSERVED_BEST] + [others[k * len(others) // kept] for k in range(kept)]
        else:
            chosen = []
            for sample in new:
                if sample.origin != self.name and sample.relative_gap > self._best:
                    chosen.append(sample)
                self._best = max(self._best, sample.relative_gap)
        self._read = len(self._incumbents.samples)
        self._best = max(self._best, self._incumbents.best.relative_gap)
        self._study.add_trials([create_trial(params=self._parameters(sample.point), distributions=self._distributions,
                                             value=sample.relative_gap) for sample in chosen])

    def _parameters(self, point: Point) -> dict[str, float]:
        return {dimension.name: point[dimension.name] if _is_category(dimension)
                else min(max(share_of(dimension, point[dimension.name]), 0.0), 1.0)
                for dimension in self._dimensions if not dimension.fixed}

    def _point(self, trial: optuna.Trial) -> Point:
        return {dimension.name: _value(dimension, trial.params) for dimension in self._dimensions}


def _is_category(dimension: Dimension) -> bool:
    return dimension.integer and dimension.high - dimension.low < FEW_VALUES


def _distribution(dimension: Dimension) -> BaseDistribution:
    if _is_category(dimension):
        return CategoricalDistribution([float(value) for value in range(int(dimension.low), int(dimension.high) + 1)])
    return FloatDistribution(0.0, 1.0)


def _value(dimension: Dimension, parameters: Mapping[str, float]) -> float:
    if dimension.fixed or _is_category(dimension):
        return float(parameters.get(dimension.name, dimension.low))
    return value_at(dimension, min(parameters[dimension.name], 1 - 1e-12))
