"""Best boxes with a given number of predicates: a beam search that adds one bound at a time and refits those before it.

Where `refine` asks what a predicate is worth, this asks what can be said with one, two, three of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xplain.regions.bounds import Rows, best_bounds
from xplain.regions.box import Box
from xplain.regions.refine import Sorted
from xplain.regions.table import Floats, Table

SIDES = ("low", "high")
ROUNDS = 4  # of refitting every bound given the others
LEAST = 1e-9
Place = tuple[int, int]  # feature, side (see `best_bounds`)


@dataclass(frozen=True)
class Short:
    """A box with bounds at `places`, and the sum of gains inside, less what its predicates over sums cost."""

    box: Box
    places: frozenset[Place]
    worth: float


class Bounds:
    """Finds bounds on the samples of a table. `dear` per feature: how much a bound over it costs (sums: a trifle)."""

    def __init__(self, table: Table, columns: Sorted, dear: Floats) -> None:
        self.table, self.columns, self.dear = table, columns, dear
        self._all = np.arange(len(table.names))
        self._places = np.empty((len(table.names), 2), dtype=np.int64)
        self._worth = np.empty((len(table.names), 2))

    def worth(self, box: Box, gains: Floats) -> float:
        """Of a box."""
        bounds = np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)
        return float(gains[box.inside(self.table.values)].sum()) - float((self.dear * bounds).sum())

    def beam(self, gains: Floats, most: int, width: int) -> list[list[Short]]:
        """By number of predicates from 1 to `most` the best boxes with different bounds, best first."""
        level = [Short(Box.everything(len(self.table.names)), frozenset(), float(gains.sum()))]
        found = list[list[Short]]()
        for _ in range(most):
            grown = dict[frozenset[Place], Short]()
            for short in level:
                for one in self._grown(short, gains, width):
                    if one.places not in grown or one.worth > grown[one.places].worth:
                        grown[one.places] = one
            promising = sorted(grown.values(), key=lambda short: -short.worth)[:2 * width]
            level = sorted((self.refitted(short, gains) for short in promising), key=lambda short: -short.worth)[:width]
            if not level:
                break
            found.append(level)
        return found

    def refitted(self, short: Short, gains: Floats) -> Short:
        """Every bound given the others, until nothing gains."""
        for _ in range(ROUNDS if len(short.places) > 1 else 0):
            before = short.worth
            for place in sorted(short.places):
                short = self._refit(short, place, gains)
            if short.worth <= before + LEAST:
                break
        return short

    def exchanged(self, short: Short, gains: Floats) -> Short:
        """Each bound replaced by the best one on any feature, while that gains."""
        while True:
            best = short
            for place in sorted(short.places):
                rest = self._without(short, place, gains)
                for one in self._grown(rest, gains, 3):
                    one = self.refitted(one, gains)
                    if one.worth > best.worth + LEAST:
                        best = one
            if best is short:
                return short
            short = best

    def short(self, box: Box, gains: Floats) -> Short:
        """A box as one of these."""
        low = ((k, 0) for k, bound in enumerate(box.lows) if math.isfinite(bound))
        high = ((k, 1) for k, bound in enumerate(box.highs) if math.isfinite(bound))
        return Short(box, frozenset((*low, *high)), self.worth(box, gains))

    def _grown(self, short: Short, gains: Floats, width: int) -> Iterable[Short]:
        """The `width` best boxes with one bound more."""
        self._look(short.box, gains, self._all)
        worth = self._worth - self.dear[:, None] + (short.worth - self._inside_worth(short, gains))
        for k, side in short.places:
            worth[k, side] = -np.inf
        for at in np.argsort(-worth, axis=None, kind="stable")[:width].tolist():
            k, side = divmod(at, 2)
            if self._places[k, side] >= 0 and np.isfinite(worth[k, side]):
                yield Short(self._bounded(short.box, k, side), short.places | {(k, side)}, float(worth[k, side]))

    def _refit(self, short: Short, place: Place, gains: Floats) -> Short:
        k, side = place
        free = short.box.with_bound(k, SIDES[side], -math.inf if side == 0 else math.inf)
        self._look(free, gains, np.array([k]))
        if self._places[k, side] < 0:
            return short
        box = self._bounded(free, k, side)
        worth = self.worth(box, gains)
        return Short(box, short.places, worth) if worth > short.worth + LEAST else short

    def _without(self, short: Short, place: Place, gains: Floats) -> Short:
        k, side = place
        box = short.box.with_bound(k, SIDES[side], -math.inf if side == 0 else math.inf)
        return Short(box, short.places - {place}, self.worth(box, gains))

    def _inside_worth(self, short: Short, gains: Floats) -> float:
        return float(gains[short.box.inside(self.table.values)].sum())

    def _look(self, box: Box, gains: Floats, features: Rows) -> None:
        inside = box.inside(self.table.values)
        best_bounds(self.columns.order, self.columns.values, gains, inside, features, self._places, self._worth)

    def _bounded(self, box: Box, k: int, side: int) -> Box:
        return box.with_bound(k, SIDES[side], self.columns.between(k, int(self._places[k, side]), -math.inf))
