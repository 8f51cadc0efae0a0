"""One method on one planted function, scored on fresh samples; how our curve stands to a rival's result there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xplain.regions.box import Box
from xplain.regions.table import Mask, Table

DRAWS = 2000  # of the bootstrap
PERCENT = 95


@dataclass(frozen=True)
class Outcome:
    """`held`: which fresh samples lie in the union of the boxes; `evaluations`: inputs beyond those given to all."""

    held: Mask
    bad: Mask
    predicates: int
    regions: int
    seconds: float
    evaluations: int = 0

    @property
    def precision(self) -> float:
        """P(bad | union)."""
        return int((self.held & self.bad).sum()) / max(1, int(self.held.sum()))

    @property
    def coverage(self) -> float:
        """P(union | bad)."""
        return int((self.held & self.bad).sum()) / max(1, int(self.bad.sum()))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and coverage."""
        return 2 * int((self.held & self.bad).sum()) / max(1, int(self.held.sum()) + int(self.bad.sum()))


def outcome(boxes: Sequence[Box], fresh: Table, seconds: float, evaluations: int = 0) -> Outcome:
    """The union of `boxes` on fresh samples."""
    held: Mask = np.zeros(len(fresh), dtype=bool)
    for box in boxes:
        held |= box.inside(fresh.values)
    return Outcome(held, fresh.bad, sum(box.size for box in boxes), len(boxes), seconds, evaluations)


@dataclass(frozen=True)
class Against:
    """A point of our curve beside a rival's result: its F1 less the rival's, with a bootstrap interval over the fresh
    samples, which both are scored on."""

    point: Outcome
    rival: Outcome
    difference: float
    low: float
    high: float

    @property
    def dominates(self) -> bool:
        """At least as good with at most as many predicates."""
        return self.difference >= 0 and self.point.predicates <= self.rival.predicates

    @property
    def behind(self) -> bool:
        """Worse, and not by the chance of the fresh samples."""
        return self.high < 0


def against(curve: Sequence[Outcome], rival: Outcome, seed: int) -> Against:
    """Our point with the most predicates that are not more than the rival's: chosen without a look at its scores."""
    point = max((each for each in curve if each.predicates <= rival.predicates), key=lambda each: each.predicates)
    kinds = 4 * rival.bad + 2 * point.held + rival.held  # of a sample: bad, in ours, in theirs
    drawn = np.random.default_rng(seed).multinomial(len(kinds), np.bincount(kinds, minlength=8) / len(kinds), DRAWS)
    bad = drawn[:, 4:].sum(axis=1)
    ours, theirs = (2 * drawn[:, both].sum(axis=1) / np.maximum(1, bad + drawn[:, inside].sum(axis=1))
                    for both, inside in (([6, 7], [2, 3, 6, 7]), ([5, 7], [1, 3, 5, 7])))
    low, high = np.percentile(ours - theirs, [(100 - PERCENT) / 2, (100 + PERCENT) / 2])
    return Against(point, rival, point.f1 - rival.f1, float(low), float(high))
