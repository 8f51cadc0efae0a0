"""Finds regions one after the other: propose on search samples, test on fresh ones, exclude, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Region, Sample
from xplain.regions.box import Box, rounded
from xplain.regions.refine import Worth, climb, minimal
from xplain.regions.score import Test, holm, paired_test, shares
from xplain.regions.sentences import sentence
from xplain.regions.table import Mask, Table, tabulate
from xplain.regions.tree import leaves

LEVEL = 0.05


@dataclass(frozen=True)
class Options:
    """How regions are looked for.

    `targets`: precisions aimed at, from the best down; the first that some box reaches is used. `slack`: how much
    precision a shorter sentence may cost. `support`: fewest search samples in a region. `price`, `least_price`: what
    a further predicate must be worth, as a share of all bad samples and as a number of them (at most a tenth).
    `starts`: leaves that are refined.
    """

    targets: tuple[float, ...] = (0.8, 0.6, 0.4, 0.2)
    slack: float = 0.05
    support: int = 10
    price: float = 0.02
    least_price: float = 3.0
    starts: int = 12
    max_regions: int = 6


@dataclass(frozen=True)
class _Tested:
    box: Box
    test: Test


def find_regions(problem: Problem, samples: Sequence[Sample], held_out: Sequence[Sample], threshold: float, seed: int,
                 *, subject: str = "the policy", prefix: str = "R", options: Options | None = None,
                 keep_rejected: bool = False) -> tuple[Region, ...]:
    """Significant regions named `prefix`1, `prefix`2, ..., each the costliest by what those before it leave.

    `samples` come from a search (random ones and those of methods that seek large gaps), `held_out` are fresh ones of
    the declared distribution; every number of a region is computed on the latter, but `worst` is the index of the worst
    of `samples` inside, if possible one that no region before it holds (-1: none inside).
    A region is significant if its Holm-corrected p-value is below 5 % and both its mean gap and its mean difference
    to the nearest points outside all regions are at least half the threshold. The search for regions ends with the
    first candidate that is not, or after `options.max_regions`. With `keep_rejected` that candidate is returned too.
    """
    options = options or Options()
    train = tabulate(samples, threshold)
    fresh = tabulate(held_out, threshold, train.names)
    tested: list[_Tested] = []
    taken, fresh_taken = np.zeros(len(train), dtype=bool), np.zeros(len(fresh), dtype=bool)
    for round_number in range(options.max_regions):
        box = _propose(train, taken, threshold, options, seed + round_number)
        if box is None:
            break
        inside = box.inside(fresh.values) & ~fresh_taken
        test = paired_test(fresh, inside, ~inside & ~fresh_taken, seed)
        tested.append(_Tested(box, test))
        if test.p_value >= LEVEL or not _large(fresh, inside, test, threshold):
            break
        taken |= box.inside(train.values)
        fresh_taken |= inside
    regions = _judged(problem, tested, train, fresh, threshold, seed, subject)
    kept = [region for region in regions if region.significant or keep_rejected]
    ranked = _ranked(kept, held_out)
    return tuple(replace(region, name=f"{prefix}{k + 1}", worst=_worst(region, ranked[:k], samples))
                 for k, region in enumerate(ranked))


def _propose(table: Table, taken: Mask, threshold: float, options: Options, seed: int) -> Box | None:
    """The best box on the samples that no region holds yet, with bounds rounded; None if there is nothing to find."""
    remaining = table.where(~taken)
    if not table.names or not remaining.bad.any() or len(remaining) < 2 * options.support:
        return None
    bad = float(remaining.weights[remaining.bad].sum())
    price = max(options.price * bad, min(options.least_price, bad / 10))
    proposed = leaves(remaining, threshold, seed)
    highest = options.targets[0]
    for target in options.targets:
        if target <= remaining.bad_share and target != highest:
            return None  # a region must be worse than the rest, not merely bad
        worth = Worth(table, taken, target, price * (1 - target))
        starts = sorted(proposed, key=worth.of, reverse=True)[:options.starts]
        box, value = max((climb(start, worth) for start in starts), key=lambda found: found[1])
        if value <= 0 or int((box.inside(table.values) & ~taken).sum()) < options.support:
            continue
        reached = worth.precision(box)
        box = minimal(box, worth, max(min(target, reached), reached - options.slack))
        return rounded(box, table) if box.size or worth.precision(box) >= highest else None
    return None


def _judged(problem: Problem, tested: Sequence[_Tested], train: Table, fresh: Table, threshold: float, seed: int,
            subject: str) -> list[Region]:
    """Final scores: partners outside all regions that held, p-values corrected for every candidate tested."""
    masks = [candidate.box.inside(fresh.values) for candidate in tested]
    passed = [candidate.test.p_value < LEVEL and _large(fresh, mask, candidate.test, threshold)
              for candidate, mask in zip(tested, masks, strict=True)]
    union: Mask = np.zeros(len(fresh), dtype=bool)
    for mask, kept in zip(masks, passed, strict=True):
        if kept:
            union |= mask
    tests = [paired_test(fresh, mask, ~union & ~mask, seed) for mask in masks]
    corrected = holm([test.p_value for test in tests])
    found = []
    for k, (candidate, mask) in enumerate(zip(tested, masks, strict=True)):
        scores = shares(fresh, mask)
        predicates = candidate.box.predicates(train.names)
        whole = frozenset(name for name, integer in zip(train.names, train.integer, strict=True) if integer)
        significant = passed[k] and corrected[k] < LEVEL and _large(fresh, mask, tests[k], threshold)
        found.append(Region(
            name="", scale=problem.scale, predicates=predicates,
            sentence=sentence(problem, predicates, whole, scores.mean_gap, subject),
            precision=scores.precision, coverage=scores.coverage, share=scores.share, mean_gap=scores.mean_gap,
            p_value=corrected[k], significant=significant, worst=-1))
    return found


def _ranked(regions: Sequence[Region], held_out: Sequence[Sample]) -> list[Region]:
    """Significant ones first; among them always the one with the largest sum of gaps not yet counted."""
    left, uncounted, ranked = list(regions), list(held_out), list[Region]()
    while left:
        best = max(left, key=lambda region: (region.significant, sum(
            sample.relative_gap for sample in uncounted if region.holds(sample.features))))
        left.remove(best)
        ranked.append(best)
        uncounted = [sample for sample in uncounted if not best.holds(sample.features)]
    return ranked


def _worst(region: Region, before: Sequence[Region], samples: Sequence[Sample]) -> int:
    inside = [sample for sample in samples if region.holds(sample.features)]
    own = [sample for sample in inside if not any(other.holds(sample.features) for other in before)]
    return max(own or inside, key=lambda sample: (sample.relative_gap, -sample.index)).index if inside else -1


def _large(fresh: Table, inside: Mask, test: Test, threshold: float) -> bool:
    """Whether the loss itself and the difference to the outside are at least half the threshold."""
    return bool(inside.any()) and float(fresh.gaps[inside].mean()) >= threshold / 2 and test.effect >= threshold / 2
