"""Proposals for regions: one interface, two methods. What they propose is judged by the same code (see `find`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Sample
from xplain.regions.box import Box
from xplain.regions.options import Options
from xplain.regions.record import Linear
from xplain.regions.refine import Sorted, Worth, climb, minimal, rounded, shaken
from xplain.regions.score import paired_test
from xplain.regions.table import Mask, Table
from xplain.regions.tree import leaves

PATIENCE = 8
SCREENED = 200  # pairs by which a box is screened before it is judged


@dataclass(frozen=True)
class Ground:
    """What proposals are made from: the problem, the samples of the search and the same as a table."""

    problem: Problem
    samples: Sequence[Sample]
    table: Table
    linear: tuple[Linear, ...]
    threshold: float
    options: Options
    seed: int
    columns: Sorted

    @property
    def terms(self) -> tuple[int, ...]:
        """Per feature of the table: of how many it is the sum, one more if some count for more or less than once."""
        known = {each.name: len(each.terms) + any(abs(c) != 1 for _, c in each.terms) for each in self.linear}
        return tuple(known.get(name, 1) for name in self.table.names)

    def worth(self, taken: Mask, target: float) -> Worth:
        """What boxes are worth at a target, beyond the samples that earlier regions hold."""
        bad = float(self.table.weights[self.table.bad & ~taken].sum())
        price = max(self.options.price * bad * (1 - target), min(self.options.least_price, bad / 10) * target)
        return Worth(self.table, taken, target, price, self.columns, self.terms)


@dataclass(frozen=True)
class Proposal:
    """A box, the precision aimed at, and the precision that every one of its predicates is needed for."""

    box: Box
    target: float
    floor: float


class Proposer(Protocol):
    """Proposes one region after the other."""

    @property
    def evaluations(self) -> int:
        """Inputs evaluated so far."""
        ...

    @property
    def failures(self) -> int:
        """How many proposals may turn out not to hold before the search ends."""
        ...

    def propose(self, before: Sequence[Box], taken: Mask) -> Proposal | None:
        """The next region beyond those `before`, which hold the samples `taken`; None if there is nothing to find."""
        ...


class Refine:
    """The better method: leaves of shallow trees, and a box that shrinks patiently, each refined to the best box there
    is around it.

    Where sums of features were formed, regions are sought with and without them: a sum often gets most of a bad region
    with one predicate where two boxes would have got all of it. The set of regions that is worth more is proposed.
    """

    evaluations, failures = 0, 0

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._plan: list[Proposal] | None = None

    def propose(self, before: Sequence[Box], taken: Mask) -> Proposal | None:
        """The next of the set of regions that was found best on the samples of the search."""
        if self._plan is None:
            plain = [k for k, terms in enumerate(self.ground.terms) if terms == 1]
            every = list(range(len(self.ground.terms)))
            plans = [self._planned(features) for features in ([plain, every] if len(plain) < len(every) else [every])]
            self._plan = max(plans, key=self._together)
        return self._plan[len(before)] if len(before) < len(self._plan) else None

    def _planned(self, features: Sequence[int]) -> list[Proposal]:
        """Regions over some of the features, one after the other."""
        table, plan = self.ground.table, list[Proposal]()
        taken: Mask = np.zeros(len(table), dtype=bool)
        while len(plan) < self.ground.options.max_regions:
            proposal = self._next(features, taken, len(plan))
            if proposal is None:
                break
            plan.append(proposal)
            if not self._stands_out(proposal.box, taken):
                break
            taken |= proposal.box.inside(table.values)
        return plan

    def _stands_out(self, box: Box, taken: Mask) -> bool:
        """Whether, on the samples of the search, the loss inside and its difference to the nearest points outside are
        as large as they have to be on fresh ones: the top of a gentle slope does not stand out from the slope."""
        table, least = self.ground.table, self.ground.threshold / 2
        drawn = table.weights == table.weights.max()
        inside, left = box.inside(table.values), drawn & ~taken
        if not (inside & left).any():
            return False
        test = paired_test(table, inside & left, left & ~inside, self.ground.seed, most=SCREENED)
        return float(table.gaps[inside & left].mean()) >= least and test.effect >= least

    def _together(self, plan: Sequence[Proposal]) -> float:
        """What the regions are worth together at even odds, where precision and coverage count alike."""
        table = self.ground.table
        worth = self.ground.worth(np.zeros(len(table), dtype=bool), 0.5)
        held: Mask = np.zeros(len(table), dtype=bool)
        for proposal in plan:
            held |= proposal.box.inside(table.values)
        return float(worth.gains[held].sum()) - sum(worth.cost(proposal.box) for proposal in plan)

    def _next(self, features: Sequence[int], taken: Mask, number: int) -> Proposal | None:
        """The best box on the samples that no region holds yet, for the highest precision at which it stands out; if it
        never does, for the highest that is reached."""
        ground, options, table = self.ground, self.ground.options, self.ground.table
        first: Proposal | None = None
        remaining = table.where(~taken)
        if not features or not remaining.bad.any() or len(remaining) < 2 * options.support:
            return None
        grown = leaves(remaining, ground.threshold, ground.seed + number, features)
        starts = [Box.everything(len(table.names)), *grown]
        highest = options.targets[0]
        for target in options.targets:
            if target <= remaining.bad_share and target != highest:
                break  # a region must be worse than the rest, not merely bad
            worth = ground.worth(taken, target)
            promising = sorted(starts, key=worth.of, reverse=True)[:options.starts]
            promising.append(self._patient(features, taken, remaining.bad_share, target))
            box, value = max((climb(start, worth, features) for start in promising), key=lambda found: found[1])
            box, value = shaken(box, value, worth, features)
            if value <= 0 or int((box.inside(table.values) & ~taken).sum()) < options.support:
                continue
            proposal = stated(box, worth, options.slack)
            if not proposal.box.size and worth.precision(proposal.box) < highest:
                break
            if self._stands_out(proposal.box, taken):
                return proposal
            first = first or proposal
        return first

    def _patient(self, features: Sequence[int], taken: Mask, share: float, target: float) -> Box:
        """From everything, aiming higher little by little: a box that shrinks keeps more than one that grows."""
        box = Box.everything(len(self.ground.table.names))
        for step in range(1, PATIENCE):
            box, _ = climb(box, self.ground.worth(taken, share + (target - share) * step / PATIENCE), features)
        return box


def stated(box: Box, worth: Worth, slack: float, *, refit: bool = True) -> Proposal:
    """The box as it is put to a person: with the fewest predicates at (nearly) the same precision, bounds fitted to
    those that are left if `refit`, and rounded."""
    reached = worth.precision(box)
    floor = max(min(worth.target, reached), reached - slack)
    box = minimal(box, worth, floor)
    if refit:
        bounded = [k for k in range(len(box.lows)) if np.isfinite(box.lows[k]) or np.isfinite(box.highs[k])]
        box, _ = climb(box, worth, bounded)
    box = rounded(box, worth)
    # Rounding may have cost a little; a predicate is kept only if the precision without it is below the floor.
    floor = min(floor, worth.precision(box))
    return Proposal(minimal(box, worth, floor), worth.target, floor)
