"""Refines boxes: gives one feature at a time its best interval, then drops what is not needed and rounds what is left.

A box is worth  (1 - t) * bad inside - t * others inside - price * predicates,  t = the precision aimed at: it grows
as long as what it gains is bad with at least the probability t. Samples that an earlier region holds are neither bad
nor others; having them again costs half an other one, so that regions overlap only where that makes them simpler.

Cost: columns are sorted once per table; a step is O(samples * features).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from xplain.regions.box import Box
from xplain.regions.table import Floats, Mask, Table

STEPS = 60
OVERLAP = 0.5
LEAST = 1e-9
DEARER = 0.1  # a predicate over a sum costs this much more per further term: the plainer of two equals is taken
ROUNDING = 0.25  # of a predicate's price: what a rounder bound may cost
DIGITS = 4


@dataclass(frozen=True)
class Sorted:
    """The columns of a table in order. `cuts` per feature: places after which the value rises."""

    order: NDArray[np.int64]
    cuts: tuple[NDArray[np.int64], ...]
    values: Floats

    @staticmethod
    def of(table: Table) -> Sorted:
        """Sort every column once."""
        order = np.argsort(table.values, axis=0, kind="stable").T.copy()
        values = np.take_along_axis(table.values.T, order, axis=1)
        return Sorted(order, tuple(np.flatnonzero(row[1:] > row[:-1]) for row in values), values)


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
        bounds = np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)
        return float(self.gains[box.inside(self.table.values)].sum() - (self.prices * bounds).sum())

    def precision(self, box: Box) -> float:
        """Weighted share of bad samples inside, of those no region holds yet; 0 if there are none."""
        inside = box.inside(self.table.values) & ~self.taken
        weight = float(self.table.weights[inside].sum())
        return float(self.table.weights[inside & self.table.bad].sum()) / weight if weight else 0.0


def climb(box: Box, worth: Worth, features: Iterable[int] | None = None) -> tuple[Box, float]:
    """Steepest ascent: the feature that gains most gets its best interval (or none), until nothing gains.

    `features`: those that may change; default all.
    """
    table, free = worth.table, list(range(len(worth.table.names)) if features is None else features)
    values = table.values
    outside = (values <= np.array(box.lows)) | (values > np.array(box.highs))
    misses = outside.sum(axis=1)
    size = (np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)).astype(float)
    for _ in range(STEPS):
        inside = float(worth.gains[misses == 0].sum())
        best, choice = LEAST, None
        for k in free:
            others = worth.gains * (misses == outside[:, k])
            low, high, value = _interval(others, k, worth)
            gained = value - (inside - float(worth.prices[k]) * size[k])
            if gained > best:
                best, choice = gained, (k, low, high)
        if choice is None:
            break
        k, low, high = choice
        box = box.with_bound(k, "low", low).with_bound(k, "high", high)
        misses = misses - outside[:, k]
        outside[:, k] = (values[:, k] <= low) | (values[:, k] > high)
        misses = misses + outside[:, k]
        size[k] = float(math.isfinite(low)) + float(math.isfinite(high))
    return box, worth.of(box)


def shaken(box: Box, value: float, worth: Worth) -> tuple[Box, float]:
    """Out of a local optimum: let go of each bounded feature in turn, and of each two; let the others make up for it,
    then climb again."""
    while True:
        bounded = [k for k in range(len(box.lows)) if math.isfinite(box.lows[k]) or math.isfinite(box.highs[k])]
        better = None
        for dropped in (*combinations(bounded, 1), *combinations(bounded, 2)):
            freed = box
            for k in dropped:
                freed = freed.with_bound(k, "low", -math.inf).with_bound(k, "high", math.inf)
            others = [k for k in range(len(box.lows)) if k not in dropped]
            found, reached = climb(climb(freed, worth, others)[0], worth)
            if reached > value + LEAST:
                better, value = found, reached
        if better is None:
            return box, value
        box = better


def _interval(gains: Floats, feature: int, worth: Worth) -> tuple[float, float, float]:
    """(low, high, value) of the best interval of one feature, its price paid: the largest sum of consecutive gains."""
    columns, price = worth.columns, float(worth.prices[feature])
    running = np.cumsum(gains[columns.order[feature]])
    total = float(running[-1])
    cuts = columns.cuts[feature]
    options = [(total, -1, -1)]
    if len(cuts):
        at = running[cuts]
        first, last = int(np.argmin(at)), int(np.argmax(at))
        options += [(total - float(at[first]) - price, first, -1), (float(at[last]) - price, -1, last)]
        if len(cuts) > 1:
            least = np.minimum.accumulate(at)
            spans = at[1:] - least[:-1]
            end = int(np.argmax(spans)) + 1
            start = int(np.argmin(at[:end]))
            options.append((float(spans[end - 1]) - 2 * price, start, end))
    value, low, high = max(options, key=lambda option: option[0])
    return (_between(columns, feature, low, -math.inf), _between(columns, feature, high, math.inf), value)


def _between(columns: Sorted, feature: int, cut: int, none: float) -> float:
    """Halfway between the two values at a cut."""
    if cut < 0:
        return none
    place = int(columns.cuts[feature][cut])
    below, above = float(columns.values[feature, place]), float(columns.values[feature, place + 1])
    middle = below + (above - below) / 2
    # Between neighbouring floats the middle may round up to the upper one, which would let it in.
    return middle if middle < above else below


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
    the samples of the search; whole numbers for whole features."""
    least = worth.of(box) - ROUNDING * worth.price
    for side in ("low", "high"):
        for k, bound in enumerate(box.lows if side == "low" else box.highs):
            if math.isfinite(bound):
                box = _rounder(box, k, side, bound, worth, min(least, worth.of(box)))
    return box


def _rounder(box: Box, k: int, side: str, bound: float, worth: Worth, least: float) -> Box:
    low, high = np.quantile(worth.table.values[:, k], [0.05, 0.95])
    whole = bool(worth.table.integer[k])
    spread = float(high - low) or abs(bound) or 1.0
    coarse = -math.floor(math.log10(spread))
    for digits in range(coarse, coarse + DIGITS):
        plain = round(bound, digits)
        proposal = box.with_bound(k, side, float(math.floor(plain)) if whole else plain)
        if worth.of(proposal) >= least:
            return proposal
    return box.with_bound(k, side, float(math.floor(bound))) if whole else box
