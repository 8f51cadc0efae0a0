"""Finds regions one after the other: propose on search samples, test on fresh ones, exclude, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Predicate, Region, Sample
from xplain.regions.box import Box
from xplain.regions.curve import by_size, curve, without_each
from xplain.regions.judge import Judge
from xplain.regions.linear import linear_features, with_linear
from xplain.regions.options import Options
from xplain.regions.propose import Ground, Proposal, Proposer, Refine
from xplain.regions.record import Excluded, Linear, RegionEvidence, RegionSearch
from xplain.regions.refine import Sorted
from xplain.regions.score import Test, wilson
from xplain.regions.slices import SliceGrowth
from xplain.regions.statement import statement
from xplain.regions.table import Mask, Table, tabulate, usable


def find_regions(problem: Problem, samples: Sequence[Sample], held_out: Sequence[Sample], threshold: float, seed: int,
                 *, subject: str = "the policy", prefix: str = "R", options: Options | None = None,
                 keep_rejected: bool = False) -> tuple[Region, ...]:
    """Significant regions named `prefix`1, `prefix`2, ..., each the costliest by what those before it leave.

    `samples` come from a search (random ones and those of methods that seek large gaps), `held_out` are fresh ones of
    the declared distribution; every number of a region is computed on the latter, but `worst` is the index of the worst
    of `samples` inside, if possible one that no region before it holds (-1: none inside).
    A region is significant if its Holm-corrected p-value is below 5 % and both its mean gap and its mean difference
    to the nearest points outside all regions are at least half the threshold. The search for regions ends with the
    first candidate that is not (the paper's method may fail twice), or after `options.max_regions`. With
    `keep_rejected` such candidates are returned too.
    A feature that is not a finite number in every sample is left out; `find_regions_with_evidence` says which and why.
    """
    return find_regions_with_evidence(problem, samples, held_out, threshold, seed, subject=subject, prefix=prefix,
                                      options=options, keep_rejected=keep_rejected, curves=False).regions


def find_regions_with_evidence(problem: Problem, samples: Sequence[Sample], held_out: Sequence[Sample],
                               threshold: float, seed: int, *, subject: str = "the policy", prefix: str = "R",
                               options: Options | None = None, keep_rejected: bool = False,
                               curves: bool = True) -> RegionSearch:
    """The same with everything that is known of the regions: tests, unions, trade-off curves by precision and by number
    of predicates (unless `curves` is off), derived features, features left out, and the outcome in words."""
    options = options or Options()
    train, fresh, linear, excluded = _tables(problem, samples, held_out, threshold, options)
    samples, held_out = with_linear(samples, linear), with_linear(held_out, linear)
    ground = Ground(problem, samples, train, linear, threshold, options, seed, Sorted.of(train))
    judge = Judge.on(problem, held_out, fresh, threshold, seed, subject, linear)
    proposer: Proposer = Refine(ground) if options.method == "refine" else SliceGrowth(ground)
    proposals, held = _searched(proposer, ground, judge)
    regions, tests = judge.regions([proposal.box for proposal in proposals], held)
    chosen = [k for k, region in enumerate(regions) if region.significant or keep_rejected]
    order = _ranked(chosen, regions, held_out)
    named = tuple(replace(regions[k], name=f"{prefix}{place + 1}",
                          worst=_worst(regions[k], [regions[j] for j in order[:place]], samples))
                  for place, k in enumerate(order))
    evidence = tuple(_evidence(region.name, proposals[k], proposals[:k], tests[k], ground, judge, curves)
                     for region, k in zip(named, order, strict=True))
    reported = [Box.of(region.predicates, train.names) for region in named if region.significant]
    sizes = by_size(reported, ground, judge) if curves else ()
    used = {predicate.feature for region in named for predicate in region.predicates}
    used |= {p.feature for each in evidence for point in each.curve for p in point.predicates}
    used |= {p.feature for point in sizes for region in point.regions for p in region}
    unions = judge.unions([region for region in named if region.significant])
    return RegionSearch(named, evidence, unions, tuple(each for each in linear if each.name in used), excluded,
                        proposer.evaluations, statement(train, fresh, regions, unions, excluded, threshold, subject),
                        sizes)


def judge_regions(problem: Problem, stated: Sequence[Sequence[Predicate]], held_out: Sequence[Sample], threshold: float,
                  seed: int, *, subject: str = "the policy", prefix: str = "P",
                  linear: tuple[Linear, ...] = ()) -> tuple[Region, ...]:
    """Regions that somebody else stated (published ones, an operator's guess), scored and tested by the same code.

    `linear`: derived features they are over. Raises InputError on a feature that the samples do not have.
    """
    held_out = with_linear(held_out, linear)
    names = tuple(dict.fromkeys((*usable(held_out)[0], *(p.feature for each in stated for p in each))))
    fresh = tabulate(held_out, threshold, names)
    judge = Judge.on(problem, held_out, fresh, threshold, seed, subject, linear)
    boxes = [Box.of(predicates, names) for predicates in stated]
    regions, _ = judge.regions(boxes, [True] * len(boxes))
    return tuple(replace(region, name=f"{prefix}{k}") for k, region in enumerate(regions, start=1))


def _tables(problem: Problem, samples: Sequence[Sample], held_out: Sequence[Sample], threshold: float,
            options: Options) -> tuple[Table, Table, tuple[Linear, ...], tuple[Excluded, ...]]:
    """Search and fresh samples as tables over the same features, derived ones included."""
    tabulate(samples, threshold, ())  # raises where there are none
    names, excluded = usable(samples, held_out)
    train, fresh = tabulate(samples, threshold, names), tabulate(held_out, threshold, names)
    linear = linear_features(problem, train, options.linear)
    if linear:
        names = (*names, *(each.name for each in linear))
        train = tabulate(with_linear(samples, linear), threshold, names)
        fresh = tabulate(with_linear(held_out, linear), threshold, names)
    return train, fresh, linear, excluded


def _searched(proposer: Proposer, ground: Ground, judge: Judge) -> tuple[list[Proposal], list[bool]]:
    """Proposals in order, and whether each held by itself; those that did not end the search, the first of them or as
    many as the method allows. All of them count when p-values are corrected."""
    proposals, held = list[Proposal](), list[bool]()
    taken: Mask = np.zeros(len(ground.table), dtype=bool)
    fresh_taken: Mask = np.zeros(len(judge.table), dtype=bool)
    for _ in range(ground.options.max_regions):
        proposal = proposer.propose([each.box for each in proposals], taken)
        if proposal is None:
            break
        inside = proposal.box.inside(judge.table.values) & ~fresh_taken
        proposals.append(proposal)
        held.append(judge.holds(inside, judge.test(inside, ~inside & ~fresh_taken)))
        if held.count(False) > proposer.failures:
            break
        taken |= proposal.box.inside(ground.table.values)
        if held[-1]:
            fresh_taken |= inside
    return proposals, held


def _evidence(name: str, proposal: Proposal, before: Sequence[Proposal], test: Test, ground: Ground, judge: Judge,
              curves: bool) -> RegionEvidence:
    taken: Mask = np.zeros(len(ground.table), dtype=bool)
    for each in before:
        taken |= each.box.inside(ground.table.values)
    tested = test.pairs + test.unpaired
    return RegionEvidence(
        name, ground.options.method, proposal.target, proposal.floor, without_each(proposal, taken, ground),
        test.p_value, test.effect, test.pairs, wilson(test.unpaired, tested),
        curve(proposal, taken, ground, judge) if curves else ())


def _ranked(chosen: Sequence[int], regions: Sequence[Region], held_out: Sequence[Sample]) -> list[int]:
    """Significant ones first; among them always the one with the largest sum of gaps not yet counted."""
    left, uncounted, ranked = list(chosen), list(held_out), list[int]()
    while left:
        best = max(left, key=lambda k: (regions[k].significant, sum(
            sample.relative_gap for sample in uncounted if regions[k].holds(sample.features))))
        left.remove(best)
        ranked.append(best)
        uncounted = [sample for sample in uncounted if not regions[best].holds(sample.features)]
    return ranked


def _worst(region: Region, before: Sequence[Region], samples: Sequence[Sample]) -> int:
    inside = [sample for sample in samples if region.holds(sample.features)]
    own = [sample for sample in inside if not any(other.holds(sample.features) for other in before)]
    return max(own or inside, key=lambda sample: (sample.relative_gap, -sample.index)).index if inside else -1
