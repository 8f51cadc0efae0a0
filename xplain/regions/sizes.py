"""The best set of regions for each number of predicates: what the next predicate would buy.

Sets of boxes are compared by F1, the harmonic mean of precision and coverage of their union, on the samples of the
search. Of a set with a given F1 = f, samples that are bad gain 1 - f / 2 and others lose f / 2 (Dinkelbach: a set gains
more than another one exactly if its F1 is larger), so that boxes of a bounded size can be sought one beside the other,
the same way as single ones. Of equal ones the plainer is taken.
Source: Dinkelbach (1967); Ye et al. (2012) for F measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xplain.regions.box import Box
from xplain.regions.propose import Ground
from xplain.regions.refine import Worth, rounded
from xplain.regions.short import Bounds, Short
from xplain.regions.table import Floats, Mask

AIMS = (0.5, 0.3)  # f / 2 of sets that are sought
WIDTH = 8
PARTS = 3  # predicates of one region, at most
FIRST, SECOND = 3, 2  # sets per size to which another region is added
POLISHED = 2  # sets per size whose bounds are fitted together
ROUNDS = 5
DEAR = 1e-3  # share of the bad samples that a sum must gain to replace a feature, per further term
GAIN = 0.004  # F1 that each further predicate must gain


@dataclass(frozen=True)
class Union:
    """Boxes, and the F1 of their union on the samples of the search less a trifle for every sum."""

    boxes: tuple[Box, ...]
    score: float

    @property
    def size(self) -> int:
        """Number of predicates."""
        return sum(box.size for box in self.boxes)


class Frontier:
    """Looks for the sets. Deterministic: a function of the samples."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.table = ground, ground.table
        self._bad = float(self.table.weights[self.table.bad].sum())
        dear = DEAR * self._bad * (np.array(ground.terms, dtype=np.float64) - 1)
        self.bounds = Bounds(self.table, ground.columns, dear)

    def best(self, reported: Sequence[Box], most: int) -> list[Union]:
        """The best sets by rising number of predicates (at most `most`), each clearly better than all smaller ones.
        `reported`: the regions found otherwise, at least one; a candidate of any size, and taken unless another set of
        its size is clearly better."""
        own = self.union(reported)
        found = [self.union((Box.everything(len(self.table.names)),)), own,
                 *(self.union(reported[:k]) for k in range(1, len(reported)))]
        singles = self._beside(Union((), 0.0), most)
        pairs = [each for single in self._top(singles, most, FIRST) for each in self._beside(single, most)]
        threes = [each for pair in self._top(pairs, most, SECOND) for each in self._beside(pair, most)]
        found += [self._polished(each) for each in self._top([*found, *singles, *pairs, *threes], most, POLISHED)]
        chosen = list[Union]()
        for size in range(max(most, own.size) + 1):
            best = max((each for each in found if each.size == size), key=lambda union: union.score, default=None)
            if best is not None and size == own.size and best.score <= own.score + GAIN:
                best = own
            if best is not None and (not chosen or self._better(best, chosen[-1])):
                chosen.append(best)
        return [each if each is own else self._stated(each) for each in chosen]

    @staticmethod
    def _better(larger: Union, smaller: Union) -> bool:
        """Whether every further predicate is worth it."""
        return larger.score > smaller.score + GAIN * (larger.size - smaller.size)

    def union(self, boxes: Sequence[Box]) -> Union:
        """With its score."""
        held, dear = self._held(boxes), 0.0
        for box in boxes:
            bounds = np.isfinite(box.lows).astype(int) + np.isfinite(box.highs)
            dear += float((self.bounds.dear * bounds).sum())
        inside = float(self.table.weights[held].sum())
        both = float(self.table.weights[held & self.table.bad].sum())
        return Union(tuple(boxes), (2 * both - dear) / (inside + self._bad) if self._bad else 0.0)

    def _beside(self, union: Union, most: int) -> list[Union]:
        """The set with one box more, of every size that there is room for."""
        room = min(PARTS, most - union.size)
        if room < 1:
            return []
        held = self._held(union.boxes)
        found = list[Union]()
        for aim in AIMS:
            for level in self.bounds.beam(self._gains(aim, held), room, WIDTH):
                found += [self.union((*union.boxes, short.box)) for short in level[:FIRST]]
        return found

    def _top(self, unions: Sequence[Union], most: int, count: int) -> list[Union]:
        """The best `count` of each size."""
        return [each for size in range(1, most + 1) for each in sorted(
            dict.fromkeys(union for union in unions if union.size == size), key=lambda union: -union.score)[:count]]

    def _polished(self, union: Union) -> Union:
        """Every box fitted again beside the others, bounds exchanged for better ones, until F1 gains nothing."""
        for _ in range(ROUNDS):
            before = union
            for k, box in enumerate(union.boxes):
                others = (*union.boxes[:k], *union.boxes[k + 1:])
                gains = self._gains(union.score / 2, self._held(others))
                short = self._fitted(self.bounds.short(box, gains), gains)
                changed = self.union((*union.boxes[:k], short.box, *union.boxes[k + 1:]))
                union = max(union, changed, key=lambda each: each.score)
            if union.score <= before.score:
                break
        return union

    def _fitted(self, short: Short, gains: Floats) -> Short:
        return self.bounds.exchanged(self.bounds.refitted(short, gains), gains)

    def _stated(self, union: Union) -> Union:
        """Bounds where they err least, or round: see `rounded`."""
        for k, box in enumerate(union.boxes):
            others = (*union.boxes[:k], *union.boxes[k + 1:])
            worth = Worth(self.table, self._held(others), max(union.score / 2, 0.01), 0.0, self.ground.columns,
                          self.ground.terms)
            union = self.union((*union.boxes[:k], rounded(box, worth), *union.boxes[k + 1:]))
        return union

    def _gains(self, aim: float, held: Mask) -> Floats:
        gains = np.where(self.table.bad, 1 - aim, -aim)
        return np.asarray(np.where(held, 0.0, self.table.weights * gains))

    def _held(self, boxes: Sequence[Box]) -> Mask:
        held: Mask = np.zeros(len(self.table), dtype=bool)
        for box in boxes:
            held |= box.inside(self.table.values)
        return held
