"""The one test everything goes through: does a column move with the response, other features held fixed?

Response and column are freed of the controls; the statistic is the studentised sum of their products, so that a
response which merely scatters more in some places is no trend (as in the generalised covariance measure). There are two
null distributions, and the larger p-value counts: that of permuted residuals, and that of residuals whose signs are
flipped at random, both freed of the controls again. Permuting makes the scatter equal everywhere, which matters for the
largest of several columns (cuts): where few instances scatter much, the cuts that single them out reach large values
more often than permutations say. Flipping leaves each residual where it is, but takes the scatter to be as likely up as
down. Of several columns the largest counts, in every permutation too. Permuting stops early once the answer is clear.
Sources: Freedman and Lane (1983); DiCiccio and Romano (2017); Shah and Peters (2020); Besag and Clifford (1991);
Wu (1986) and Davidson and Flachaire (2008) for flipped signs.
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
SIGNS = 49_979_687  # part of the seed of flips
LEAST_KEPT = 0.05  # of an instance's residual: one that the controls fit exactly has none to put back
VANISHES = 1e-3  # a column of which the controls leave less than this share (of its length) says nothing


@dataclass(frozen=True)
class Tested:
    """`statistic` of the largest column (signed), which column that is, and its p-value."""

    statistic: float
    column: int
    p_value: float


class Shuffles:
    """Permutations and signs of `count` instances, made as they are asked for, the same for every test that shares
    them."""

    def __init__(self, count: int, seed: tuple[int, ...]) -> None:
        self._count, self._seed = count, seed
        self._made: list[NDArray[np.int64]] = []
        self._signs: list[Floats] = []

    def chunk(self, number: int) -> NDArray[np.int64]:
        """[permutation, instance]."""
        while len(self._made) <= number:
            rng = np.random.default_rng([*self._seed, len(self._made)])
            self._made.append(rng.permuted(np.tile(np.arange(self._count), (CHUNK, 1)), axis=1))
        return self._made[number]

    def signs(self, number: int) -> Floats:
        """[instance, flip], -1 or 1."""
        while len(self._signs) <= number:
            rng = np.random.default_rng([*self._seed, len(self._signs), SIGNS])
            self._signs.append(rng.choice(np.array([-1.0, 1.0]), (self._count, CHUNK)))
        return self._signs[number]


class Null:
    """A response (scores) under given controls: tests columns against it. `most`: permutations at most."""

    def __init__(self, response: Floats, span: Floats, shuffles: Shuffles, most: int) -> None:
        self.span, self._shuffles, self._most = span, shuffles, most
        self.residual = without(span, response)
        self.free = len(response) - span.shape[1]
        # What the controls took of each residual is put back, or flipped ones would scatter too little.
        kept = np.maximum(1 - (span**2).sum(axis=1), LEAST_KEPT)
        self._whole = self.residual / np.sqrt(kept)
        self._kept: tuple[list[Floats], list[Floats]] = ([], [])

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
        return Tested(float(observed[best]), best, self._p_value(left, found, sign))

    def _freed(self, columns: Floats) -> Floats:
        """What the controls leave of the columns; nothing of those that they explain."""
        left = without(self.span, columns)
        says = np.linalg.norm(left, axis=0) > VANISHES * np.linalg.norm(columns - columns.mean(axis=0), axis=0)
        return np.where(says, left, 0.0)

    def _p_value(self, left: Floats, found: float, sign: int) -> float:
        """The larger one of permuting and of flipping signs."""
        permuted = self._reached(left, found, sign, flipped=False)
        return permuted if permuted > CLEARLY_NOT else max(permuted, self._reached(left, found, sign, flipped=True))

    def _reached(self, left: Floats, found: float, sign: int, *, flipped: bool) -> float:
        reached = done = 0
        for shuffled in self._chunks(flipped):
            largest = _sized(self._statistics(left, shuffled), sign).max(axis=0)
            reached += int((largest >= found * (1 - 1e-12)).sum())
            done += shuffled.shape[1]
            if reached >= ENOUGH:
                break
        return (reached + 1) / (done + 1)

    def _chunks(self, flipped: bool) -> Iterator[Floats]:
        """Permuted or flipped residuals, freed of the controls again."""
        made = self._kept[flipped]
        for number in range(-(-self._most // CHUNK)):
            if number == len(made):
                changed = self._whole[:, None] * self._shuffles.signs(number) if flipped else \
                    self.residual[self._shuffles.chunk(number)].T
                made.append(without(self.span, changed))
            yield made[number]

    def _statistics(self, left: Floats, residuals: Floats) -> Floats:
        """[column, permutation]."""
        total = left.T @ residuals
        scale = np.sqrt((left.T**2) @ (residuals**2) * (len(left) / max(1, self.free)))
        return np.asarray(np.divide(total, scale, out=np.zeros_like(total), where=scale > 1e-12))


def _sized(statistics: Floats, sign: int) -> Floats:
    return np.abs(statistics) if sign == 0 else sign * statistics
