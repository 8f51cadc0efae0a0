"""Judges candidates on fresh samples: shares with intervals, paired tests corrected together, sentences.

The same code for every method and for regions stated by others. Partners lie outside all regions that held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Region, Sample
from xplain.regions.box import Box
from xplain.regions.record import Linear, UnionScore
from xplain.regions.score import Test, holm, paired_test, shares, structural_places
from xplain.regions.sentences import sentence
from xplain.regions.table import Floats, Mask, Table

LEVEL = 0.05


@dataclass(frozen=True)
class Judge:
    """Fresh samples and what is needed to test boxes on them."""

    problem: Problem
    table: Table
    places: Floats | None
    threshold: float
    seed: int
    subject: str
    linear: tuple[Linear, ...] = ()

    @staticmethod
    def on(problem: Problem, fresh: Sequence[Sample], table: Table, threshold: float, seed: int, subject: str,
           linear: tuple[Linear, ...] = ()) -> Judge:
        """A judge on `fresh` samples, `table` of the same."""
        return Judge(problem, table, structural_places(problem, fresh), threshold, seed, subject, linear)

    def test(self, inside: Mask, outside: Mask) -> Test:
        """Paired test of samples inside against the nearest of those outside."""
        return paired_test(self.table, inside, outside, self.seed, self.places)

    def holds(self, inside: Mask, test: Test) -> bool:
        """Whether one test, by itself, says that there is a loss and that it is large: the loss itself and the
        difference to the outside are at least half the threshold."""
        large = bool(inside.any()) and float(self.table.gaps[inside].mean()) >= self.threshold / 2
        return large and test.effect >= self.threshold / 2 and test.p_value < LEVEL

    def regions(self, boxes: Sequence[Box], held: Sequence[bool]) -> tuple[list[Region], list[Test]]:
        """Final scores: partners outside all regions that `held`, p-values corrected for every candidate tested."""
        masks = [box.inside(self.table.values) for box in boxes]
        union: Mask = np.zeros(len(self.table), dtype=bool)
        for mask, kept in zip(masks, held, strict=True):
            if kept:
                union |= mask
        tests = [self.test(mask, ~union & ~mask) for mask in masks]
        corrected = holm([test.p_value for test in tests])
        found = [self._region(box, mask, p_value, kept and p_value < LEVEL and self.holds(mask, test))
                 for box, mask, test, p_value, kept in zip(boxes, masks, tests, corrected, held, strict=True)]
        return found, tests

    def _region(self, box: Box, inside: Mask, p_value: float, significant: bool) -> Region:
        scores = shares(self.table, inside)
        predicates = box.predicates(self.table.names)
        whole = frozenset(name for name, integer in zip(self.table.names, self.table.integer, strict=True) if integer)
        text = sentence(self.problem, predicates, whole, scores.mean_gap, self.subject, self.linear)
        return Region(name="", scale=self.problem.scale, predicates=predicates, sentence=text,
                      precision=scores.precision, coverage=scores.coverage, share=scores.share,
                      mean_gap=scores.mean_gap, p_value=p_value, significant=significant, worst=-1)

    def unions(self, regions: Sequence[Region]) -> tuple[UnionScore, ...]:
        """Scores of the first region, of the first two together, and so on."""
        union: Mask = np.zeros(len(self.table), dtype=bool)
        found = []
        for count, region in enumerate(regions, start=1):
            union |= Box.of(region.predicates, self.table.names).inside(self.table.values)
            scores = shares(self.table, union)
            found.append(UnionScore(count, scores.precision, scores.coverage, scores.share))
        return tuple(found)
