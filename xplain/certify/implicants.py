"""Boxes in which every workload loses, grown from single losing workloads.

A workload alone is the box of its features' values. Bounds are dropped one by one, always the one whose loss lets in
most workloads, as long as all of those lose too: what remains is a region from which no bound can be dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xplain.encodings.certificates.counted import Ints, Mask
from xplain.regions.box import Box
from xplain.regions.table import Floats

STARTS = 24


@dataclass(frozen=True)
class Grown:
    """A box and the rows inside."""

    box: Box
    inside: Mask


def grown_boxes(table: Floats, gaps: Ints, single: Mask, most: int, seed: int) -> list[Box]:
    """At most `most` boxes of rows with gaps > 0 only, the largest first, each counted without those before it.

    `single`: which features are of single requests or tokens: bounds on them are dropped first in one of two attempts
    per start. Starts are the largest gaps and seeded draws among the other losing rows.
    """
    loses = gaps > 0
    steps = _steps(table)
    starts = _starts(gaps, seed)
    grown = [_grow(table, loses, steps, row, order) for row in starts for order in _orders(single)]
    left, found = np.ones(len(table), np.bool_), list[Box]()
    while grown and len(found) < most:
        sizes = [int((each.inside & left).sum()) for each in grown]
        best = grown[int(np.argmax(sizes))]
        if not max(sizes):
            break
        found.append(best.box)
        left &= ~best.inside
    return found


def _starts(gaps: Ints, seed: int) -> list[int]:
    losing = np.flatnonzero(gaps > 0)
    worst = losing[np.argsort(-gaps[losing], kind="stable")][:STARTS // 2]
    drawn = np.random.default_rng([seed, 49_979_687]).permutation(losing)[:STARTS - len(worst)]
    return list(dict.fromkeys([*worst.tolist(), *drawn.tolist()]))


def _orders(single: Mask) -> list[Ints]:
    """Which bounds go first among those whose loss lets in equally many (the smaller, the sooner), by feature."""
    number = np.arange(len(single))
    return [np.where(single, number, number + len(single)), np.where(single, number + len(single), number)]


def _steps(table: Floats) -> list[Floats]:
    """By feature its values in order: bounds lie on them."""
    return [np.unique(column) for column in table.T]


def _grow(table: Floats, loses: Mask, steps: list[Floats], row: int, order: Ints) -> Grown:
    features = table.shape[1]
    # By bound, low ones first: whom it keeps out.
    outside = np.concatenate([table <= _below(steps, table[row]), table > table[row]], axis=1)
    kept: Mask = np.asarray(outside.any(axis=0))  # a bound that excludes nobody is none
    preference = np.concatenate([order, order])
    while True:
        violated = outside[:, kept].sum(axis=1)
        blocked = np.flatnonzero(violated == 1)  # rows that one bound alone keeps out
        number = np.flatnonzero(kept)
        by = number[outside[blocked][:, kept].argmax(axis=1)] if len(number) else np.zeros(0, np.int64)
        admits = np.bincount(by, minlength=2 * features)
        spoils = np.bincount(by[~loses[blocked]], minlength=2 * features)
        free = [bound for bound in number.tolist() if not spoils[bound]]
        if not free:
            break
        kept[max(free, key=lambda bound: (admits[bound], -preference[bound]))] = False
    lows = np.where(kept[:features], _below(steps, table[row]), -np.inf)
    highs = np.where(kept[features:], table[row], np.inf)
    box = Box(tuple(lows.tolist()), tuple(highs.tolist()))
    return Grown(box, box.inside(table))


def _below(steps: list[Floats], values: npt.NDArray[np.float64]) -> Floats:
    """By feature the largest value below the given one (minus infinity: there is none)."""
    found = []
    for column, value in zip(steps, values.tolist(), strict=True):
        position = int(np.searchsorted(column, value))
        found.append(column[position - 1] if position else -np.inf)
    return np.array(found)
