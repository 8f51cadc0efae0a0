"""What is given up for what: precision against coverage, each predicate against precision, shortness against both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xplain.regions.box import Box
from xplain.regions.judge import Judge
from xplain.regions.propose import Ground, Proposal, stated
from xplain.regions.record import SizePoint, TradeOff
from xplain.regions.refine import climb
from xplain.regions.score import shares
from xplain.regions.sizes import Frontier
from xplain.regions.table import Mask


def curve(proposal: Proposal, taken: Mask, ground: Ground, judge: Judge) -> tuple[TradeOff, ...]:
    """The region found again at other precisions aimed at, each scored on fresh samples; coverage falling.

    Beginning with the region itself and going up and down from it, every box starts from its neighbour on the curve:
    so the curve is of one region, not of others elsewhere.
    """
    found = {proposal.target: proposal.box}
    targets = sorted({*ground.options.curve, proposal.target})
    at = targets.index(proposal.target)
    for way in (targets[at + 1:], targets[:at][::-1]):
        box = proposal.box
        for target in way:
            worth = ground.worth(taken, target)
            box, value = climb(box, worth)
            if value <= 0 or int((box.inside(ground.table.values) & ~taken).sum()) < ground.options.support:
                break  # so much precision is not to be had around here
            box = found[target] = stated(box, worth, 0.0).box
    points = []
    for target in targets:
        if target in found:
            scores = shares(judge.table, found[target].inside(judge.table.values))
            points.append(TradeOff(target, found[target].predicates(judge.table.names), scores.precision,
                                   scores.coverage))
    return tuple(points)


def without_each(proposal: Proposal, taken: Mask, ground: Ground) -> tuple[float, ...]:
    """Precision on the samples of the search without each predicate in turn, in the order of the predicates."""
    worth = ground.worth(taken, proposal.target)
    predicates = proposal.box.predicates(ground.table.names)
    found = []
    for predicate in predicates:
        k = ground.table.names.index(predicate.feature)
        low = predicate.relation == ">"
        shorter = proposal.box.with_bound(k, "low" if low else "high", float("-inf") if low else float("inf"))
        found.append(worth.precision(shorter))
    return tuple(found)


def by_size(reported: Sequence[Box], ground: Ground, judge: Judge) -> tuple[SizePoint, ...]:
    """The best set of regions for each number of predicates, `reported` ones among them, scored on fresh samples; none
    where no region is reported: there is nothing to shorten."""
    found = []
    for union in Frontier(ground).best(reported, ground.options.sizes) if reported else ():
        held: Mask = np.zeros(len(judge.table), dtype=bool)
        for box in union.boxes:
            held |= box.inside(judge.table.values)
        scores = shares(judge.table, held)
        found.append(SizePoint(union.size, tuple(box.predicates(judge.table.names) for box in union.boxes),
                               scores.precision, scores.coverage, union.boxes == tuple(reported)))
    return tuple(found)
