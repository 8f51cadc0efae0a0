"""Verify a description of workloads by samples: how often does the heuristic lose on those that fit it?

One pool is drawn from the declared distribution and evaluated once; descriptions are looked up in it. Searching in a
pool finds what is peculiar to it, so a second pool, which the search has not seen, confirms: its lower confidence
bound counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import beta

from drex_runtime.errors import InputError
from xplain.generalise.loosen import LOOKS, Conditions
from xplain.generalise.record import Checked
from xplain.problems.interface import Problem
from xplain.records import Evidence, Rate, Sample
from xplain.regions.table import tabulate

FEWEST_INSIDE = 20  # samples that fit a description below which nothing is said


class SampledVerifier:
    """P(relative gap >= threshold | description) is at least `target`, with `confidence`.

    Lower bounds are Clopper and Pearson's, one-sided, for `looks` looks together.
    """

    def __init__(self, samples: Sequence[Sample], threshold: float, target: float, *, confidence: float = 0.95,
                 looks: int = LOOKS) -> None:
        if not 0 < target <= 1:
            raise InputError("loosen", "target", target, "a share above 0, up to 1")
        names = tuple(samples[0].features) if samples else ()
        self._table = tabulate(samples, threshold, names)
        self._target, self._error = target, (1 - confidence) / looks

    def __call__(self, conditions: Conditions) -> Checked:
        """Holds if the lower bound is above the target."""
        inside = np.ones(len(self._table), np.bool_)
        for predicate in conditions:
            if predicate.feature not in self._table.names:
                raise InputError("loosen", "feature", predicate.feature, f"one of {', '.join(self._table.names)}")
            column = self._table.values[:, self._table.names.index(predicate.feature)]
            inside &= column <= predicate.bound if predicate.relation == "<=" else column > predicate.bound
        of, bad = int(inside.sum()), int((inside & self._table.bad).sum())
        if of < FEWEST_INSIDE:
            return Checked(None, Evidence.STATISTICAL, f"{of} samples fit: too few to tell")
        low = float(beta.ppf(self._error, bad, of - bad + 1)) if bad else 0.0
        high = float(beta.ppf(1 - self._error, bad + 1, of - bad)) if bad < of else 1.0
        text = f"{bad:,} of {of:,} samples that fit; at least {low:.3f} with {1 - self._error:.1%} confidence"
        return Checked(low >= self._target, Evidence.STATISTICAL, text, Rate(bad / of, low, high, of))


def pool(problem: Problem, count: int, seed: int, *, fresh: bool = False) -> list[Sample]:
    """`count` evaluated inputs of the declared distribution; `fresh`: those that confirm."""
    rng = np.random.default_rng([seed, 67_867_967 + fresh])
    return [problem.evaluate(problem.draw(rng), index, "held-out" if fresh else "random") for index in range(count)]


def values_of(samples: Sequence[Sample], features: Sequence[str], most: int = 32
              ) -> Mapping[str, Sequence[float]]:
    """Where bounds may lie: the values that occur, thinned out evenly."""
    def of(feature: str) -> list[float]:
        distinct = np.unique([sample.features[feature] for sample in samples])
        if len(distinct) > most:
            distinct = distinct[np.linspace(0, len(distinct) - 1, most).astype(int)]
        return [float(value) for value in distinct]

    return {feature: of(feature) for feature in features}
