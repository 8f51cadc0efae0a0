"""Refines boxes: gives one feature at a time its best interval, then drops what is not needed and rounds what is left.

A box is worth  (1 - t) * bad inside - t * others inside - price * predicates,  t = the precision aimed at: it grows
as long as what it gains is bad with at least the probability t. Samples that an earlier region holds are neither bad
nor others; having them again costs half an other one, so that regions overlap only where that makes them simpler.

Cost: columns are sorted once per table; a step is O(samples * features).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from xplain.regions.box import Box, between
from xplain.regions.intervals import best_intervals
from xplain.regions.table import Floats, Mask, Table

STEPS = 60
OVERLAP = 0.5
LEAST = 1e-9
DEARER = 0.1  # a predicate over a sum costs this much more per further term: the plainer of two equals is taken
ROUNDING = 0.002  # share of the bad samples that a rounder bound may cost
DIGITS = 7
TELLING = 20  # units of a round number per gap, from which on it is no chance
NEAR = 0.1  # of the gap: how far from its middle another number may be taken


@dataclass(frozen=True)
class Sorted:
    """The columns of a table in order: rows [feature, place], and their values."""

    order: NDArray[np.int64]
    values: Floats

    @staticmethod
    def of(table: Table) -> Sorted:
        """Sort every column once."""
        order = np.ascontiguousarray(np.argsort(table.values, axis=0, kind="stable").T)
        return Sorted(order, np.take_along_axis(np.ascontiguousarray(table.values.T), order, axis=1))

    def between(self, feature: int, place: int, none: float) -> float:
        """Halfway between the values at a place and after it; `none` at place -1."""
        if place < 0:
            return none
        return between(self.values[feature, place], self.values[feature, place + 1])


@dataclass(frozen=True)
class Worth:
    """What a box is judged by while it is being looked for (on the samples of the search, weighted).

    `terms` per feature: of how many it is the sum (1: a feature as it is).
    """

    table: Table
    taken: Mask
    target: float
    price: float
    columns: Sorted
    terms: Sequence[int] = ()

    @cached_property
    def gains(self) -> Floats:
        """Gain of having each sample inside."""
        gains = np.where(self.table.bad, 1 - self.target, -self.target)
        return np.asarray(self.table.weights * np.where(self.taken, -OVERLAP * self.target, gains))

    @cached_property
    def prices(self) -> Floats:
        """Price of one predicate over each feature."""
        terms = np.array(self.terms or [1] * len(self.table.names))
        return np.asarray(self.price * (1 + DEARER * (terms - 1)))

    def of(self, box: Box) -> float:
        """Worth of a box."""
        return float(self.gains[box.inside(self.table.values)].sum()) - self.cost(box)

    def beyond(self, box: Box) -> float:
        """Gains of the samples inside that no region holds yet, at no price."""
        return float(self.gains[box.inside(self.table.values) & ~self.taken].sum())

    def cost(self, box: Box) -> float:
        """Price of all predicates of a box."""
        bounds = np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)
        return float((self.prices * bounds).sum())

    def precision(self, box: Box) -> float:
        """Weighted share of bad samples inside, of those no region holds yet; 0 if there are none."""
        inside = box.inside(self.table.values) & ~self.taken
        weight = float(self.table.weights[inside].sum())
        return float(self.table.weights[inside & self.table.bad].sum()) / weight if weight else 0.0


def climb(box: Box, worth: Worth, features: Sequence[int] | None = None) -> tuple[Box, float]:
    """Steepest ascent: the feature that gains most gets its best interval (or none), until nothing gains.

    `features`: those that may change; default all.
    """
    values, count = worth.table.values, len(worth.table.names)
    free = np.arange(count) if features is None else np.array(features, dtype=np.int64)
    if len(free) == 0:
        return box, worth.of(box)
    outside = np.ascontiguousarray(((values <= np.array(box.lows)) | (values > np.array(box.highs))).T)
    misses = outside.sum(axis=0)
    size = (np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)).astype(float)
    ends, reached = np.empty((count, 2), dtype=np.int64), np.empty(count)
    for _ in range(STEPS):
        inside = float(worth.gains[misses == 0].sum())
        best_intervals(worth.columns.order, worth.columns.values, worth.gains, misses, outside, worth.prices, free,
                       ends, reached)
        gained = reached[free] + worth.prices[free] * size[free] - inside
        if float(gained.max()) <= LEAST:
            break
        k = int(free[int(np.argmax(gained))])
        low = worth.columns.between(k, int(ends[k, 0]), -math.inf)
        high = worth.columns.between(k, int(ends[k, 1]), math.inf)
        box = box.with_bound(k, "low", low).with_bound(k, "high", high)
        misses = misses - outside[k]
        outside[k] = (values[:, k] <= low) | (values[:, k] > high)
        misses = misses + outside[k]
        size[k] = float(math.isfinite(low)) + float(math.isfinite(high))
    return box, worth.of(box)


def shaken(box: Box, value: float, worth: Worth, features: Sequence[int]) -> tuple[Box, float]:
    """Out of a local optimum: let go of each bounded feature in turn, and of each two; let the others make up for it,
    then climb again."""
    while True:
        bounded = [k for k in range(len(box.lows)) if math.isfinite(box.lows[k]) or math.isfinite(box.highs[k])]
        better = None
        for dropped in (*combinations(bounded, 1), *combinations(bounded, 2)):
            freed = box
            for k in dropped:
                freed = freed.with_bound(k, "low", -math.inf).with_bound(k, "high", math.inf)
            others = [k for k in features if k not in dropped]
            found, reached = climb(climb(freed, worth, others)[0], worth, features)
            if reached > value + LEAST:
                better, value = found, reached
        if better is None:
            return box, value
        box = better


def minimal(box: Box, worth: Worth, target: float) -> Box:
    """Drop predicates, the one that costs least precision first, while the precision stays at `target` or above."""
    while box.size:
        best = max(box.drops(), key=worth.precision)
        if worth.precision(best) < target:
            break
        box = best
    return box


def rounded(box: Box, worth: Worth) -> Box:
    """Bounds as a person would state them, before the box is judged: the roundest ones that lose (nearly) nothing on
    the samples of the search beyond earlier regions; whole numbers for whole features."""
    bad = float(worth.table.weights[worth.table.bad & ~worth.taken].sum())
    for side in ("low", "high"):
        for k, bound in enumerate(box.lows if side == "low" else box.highs):
            if math.isfinite(bound):
                box = _rounder(box, k, side, worth, worth.beyond(box) - ROUNDING * bad * (1 - worth.target))
    return box


def _rounder(box: Box, k: int, side: str, worth: Worth, least: float) -> Box:
    """One bound rounded. Any number in the gap between two samples separates them equally well; the middle errs least.
    A number so round that it would hardly lie in the gap by chance is likely to be what is meant, and is taken
    wherever it lies there; any other is taken near the middle."""
    whole = bool(worth.table.integer[k])
    below, above = _gap(box, k, side, worth)
    middle, gap = between(below, above), above - below
    middle = float(math.floor(middle)) if whole else middle
    spread = float(np.ptp(worth.table.values[:, k])) or 1.0
    coarse = -math.floor(math.log10(spread))
    for digits in range(coarse, coarse + DIGITS):
        plain = round(middle, digits)
        if whole:
            plain = float(math.floor(plain))
        if 10.0**-digits >= TELLING * gap or abs(plain - middle) <= NEAR * gap:
            proposal = box.with_bound(k, side, plain)
            if worth.beyond(proposal) >= least:
                return proposal
    return box.with_bound(k, side, middle) if whole else box


def _gap(box: Box, k: int, side: str, worth: Worth) -> tuple[float, float]:
    """The samples next to a bound on either side, of those that only this bound keeps in or out and that no earlier
    region holds: where the bound lies between them makes no difference. Without any: the bound itself, twice."""
    bound = (box.lows if side == "low" else box.highs)[k]
    free = box.with_bound(k, side, -math.inf if side == "low" else math.inf)
    column = worth.table.values[free.inside(worth.table.values) & ~worth.taken, k]
    below, above = column[column <= bound], column[column > bound]
    return (float(below.max()), float(above.min())) if len(below) and len(above) else (bound, bound)
