"""The one test everything goes through: does a column move with the response, other features held fixed?

Response and column are freed of the controls; the statistic is the studentised sum of their products, so that a
response which merely scatters more in some places is no trend (as in the generalised covariance measure). Its null
distribution is that of permuted residuals, freed of the controls again. Of several columns (cuts) the largest counts,
in every permutation too. Permuting stops early once the answer is clear.
Sources: Freedman and Lane (1983); DiCiccio and Romano (2017); Shah and Peters (2020); Besag and Clifford (1991).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from xplain.generalise.controls import without
from xplain.regions.table import Floats

CHUNK = 500  # permutations at a time
ENOUGH = 10  # permutations at least as extreme after which p is known well enough
CLEARLY_NOT = 0.3  # a p-value by normal theory from which on nothing is permuted
VANISHES = 1e-3  # a column of which the controls leave less than this share (of its length) says nothing


@dataclass(frozen=True)
class Tested:
    """`statistic` of the largest column (signed), which column that is, and its p-value."""

    statistic: float
    column: int
    p_value: float


class Shuffles:
    """Permutations of `count` instances, made as they are asked for, the same for every test that shares them."""

    def __init__(self, count: int, seed: tuple[int, ...]) -> None:
        self._count, self._seed = count, seed
        self._made: list[NDArray[np.int64]] = []

    def chunk(self, number: int) -> NDArray[np.int64]:
        """[permutation, instance]."""
        while len(self._made) <= number:
            rng = np.random.default_rng([*self._seed, len(self._made)])
            self._made.append(rng.permuted(np.tile(np.arange(self._count), (CHUNK, 1)), axis=1))
        return self._made[number]


class Null:
    """A response (scores) under given controls: tests columns against it. `most`: permutations at most."""

    def __init__(self, response: Floats, span: Floats, shuffles: Shuffles, most: int) -> None:
        self.span, self._shuffles, self._most = span, shuffles, most
        self.residual = without(span, response)
        self.free = len(response) - span.shape[1]
        self._kept: list[Floats] = []

    def test(self, columns: Floats, sign: int = 0) -> Tested:
        """Columns [instance, column]. `sign` +1 or -1: one-sided, only that direction counts."""
        if self.free < 2 or not columns.shape[1]:
            return Tested(0.0, 0, 1.0)
        left = self._freed(columns)
        observed = self._statistics(left, self.residual[:, None])[:, 0]
        sized = _sized(observed, sign)
        best = int(sized.argmax())
        found = float(sized[best])
        if found <= 0:
            return Tested(float(observed[best]), best, 1.0)
        normal = float(student.sf(found, self.free)) * (1 if sign else 2)
        if normal > CLEARLY_NOT:  # with several columns the p-value is larger still
            return Tested(float(observed[best]), best, min(1.0, normal * columns.shape[1]))
        return Tested(float(observed[best]), best, self._permuted(left, found, sign))

    def _freed(self, columns: Floats) -> Floats:
        """What the controls leave of the columns; nothing of those that they explain."""
        left = without(self.span, columns)
        says = np.linalg.norm(left, axis=0) > VANISHES * np.linalg.norm(columns - columns.mean(axis=0), axis=0)
        return np.where(says, left, 0.0)

    def _permuted(self, left: Floats, found: float, sign: int) -> float:
        reached = done = 0
        for shuffled in self._chunks():
            largest = _sized(self._statistics(left, shuffled), sign).max(axis=0)
            reached += int((largest >= found * (1 - 1e-12)).sum())
            done += shuffled.shape[1]
            if reached >= ENOUGH:
                break
        return (reached + 1) / (done + 1)

    def _chunks(self) -> Iterator[Floats]:
        """Permuted residuals, freed of the controls again."""
        for number in range(-(-self._most // CHUNK)):
            if number == len(self._kept):
                self._kept.append(without(self.span, self.residual[self._shuffles.chunk(number)].T))
            yield self._kept[number]

    def _statistics(self, left: Floats, residuals: Floats) -> Floats:
        """[column, permutation]."""
        total = left.T @ residuals
        scale = np.sqrt((left.T**2) @ (residuals**2) * (len(left) / max(1, self.free)))
        return np.asarray(np.divide(total, scale, out=np.zeros_like(total), where=scale > 1e-12))


def _sized(statistics: Floats, sign: int) -> Floats:
    return np.abs(statistics) if sign == 0 else sign * statistics
