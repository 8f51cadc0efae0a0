"""Refines boxes: moves one bound at a time to its best place, then drops what is not needed.

A box is worth  (1 - t) * bad inside - t * others inside - price * predicates,  t = the precision aimed at: it grows
as long as what it gains is bad with at least the probability t. Samples that an earlier region holds are neither bad
nor others; having them again costs half an other one, so that regions overlap only where that makes them simpler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xplain.regions.box import Box
from xplain.regions.table import Floats, Mask, Table

SWEEPS = 20
OVERLAP = 0.5


@dataclass(frozen=True)
class Worth:
    """What a box is judged by while it is being looked for (on the samples of the search, weighted)."""

    table: Table
    taken: Mask
    target: float
    price: float

    @property
    def gains(self) -> Floats:
        """Gain of having each sample inside."""
        gains = np.where(self.table.bad, 1 - self.target, -self.target)
        return np.asarray(self.table.weights * np.where(self.taken, -OVERLAP * self.target, gains))

    def of(self, box: Box) -> float:
        """Worth of a box."""
        return float(self.gains[box.inside(self.table.values)].sum()) - self.price * box.size

    def precision(self, box: Box) -> float:
        """Weighted share of bad samples inside, of those no region holds yet; 0 if there are none."""
        inside = box.inside(self.table.values) & ~self.taken
        weight = float(self.table.weights[inside].sum())
        return float(self.table.weights[inside & self.table.bad].sum()) / weight if weight else 0.0


def climb(box: Box, worth: Worth) -> tuple[Box, float]:
    """Coordinate ascent over all bounds of all features; stops when no single bound can be improved."""
    best = worth.of(box)
    gains = worth.gains
    for _ in range(SWEEPS):
        before = best
        for feature in range(len(worth.table.names)):
            for side in ("low", "high"):
                proposal = _best_bound(box, feature, side, worth.table, gains)
                value = worth.of(proposal)
                if value > best + 1e-9:
                    box, best = proposal, value
                value = worth.of(released := box.with_bound(feature, side, -math.inf if side == "low" else math.inf))
                if value > best + 1e-9:
                    box, best = released, value
        if best <= before + 1e-9:
            break
    return box, best


def _best_bound(box: Box, feature: int, side: str, table: Table, gains: Floats) -> Box:
    """The finite bound with the largest sum of gains, everything else unchanged: one pass over sorted values."""
    free = box.with_bound(feature, side, -math.inf if side == "low" else math.inf)
    inside = free.inside(table.values)
    column, inner = table.values[inside, feature], gains[inside]
    order = np.argsort(column, kind="stable")
    column, running = column[order], np.cumsum(inner[order])
    cuts = np.flatnonzero(column[1:] > column[:-1])
    if len(cuts) == 0:
        return free
    kept = running[cuts] if side == "high" else running[-1] - running[cuts]
    cut = int(cuts[int(np.argmax(kept))])
    return free.with_bound(feature, side, float((column[cut] + column[cut + 1]) / 2))


def minimal(box: Box, worth: Worth, target: float) -> Box:
    """Drop predicates, the one that costs least precision first, while the precision stays at `target` or above and
    the box is worth something."""
    while box.size:
        allowed = [shorter for shorter in box.drops() if worth.precision(shorter) >= target and worth.of(shorter) >= 0]
        if not allowed:
            break
        box = max(allowed, key=worth.precision)
    return box
