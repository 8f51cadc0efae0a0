"""OnlineArt: the `art_factor` of every ramp from durations of this run, with exploration of bounded cost.

The state of a run, made anew for each (`BoundPolicy.estimator`); engine and reference simulator feed it the same
durations on the same clock, so they use the same exact rationals. Source: scheduling model, ART.

Exploration. start and rebatch are seen only when a batch splits, so a threshold that is too high would never be
corrected. After `explore_every` consults of ramp r without a launch that began behind it, a *turn* begins: the factor
is EXPLORE, below every share of exits, so that the policy's own rule splits (also without any exit) until a launch
begins behind r, for at most `limit` splits. Without a prior the first consult begins a turn, and outside turns an
unknown factor is NEVER.
Bounds: (a) of n consults of a ramp, at most limit * (1 + n / explore_every) splits are explorations, each costing at
most one rebatch and one start; (b) under a policy that splits at EXPLORE and runs a buffer of `limit` rows, a launch
begins behind r within explore_every + limit of those consults at which rows stay behind.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import NamedTuple

from drex_runtime.cost_model.model import CostModel, Part
from drex_runtime.errors import LimitError
from drex_runtime.policies.bind import BoundPolicy

EXPLORE = Fraction(-1)
NEVER = Fraction(1)
CONSULTS_PER_SPLIT = 32  # explore_every / limit by default: at most one consult in 32 is an exploration
KEPT = 4096


class UsedArt(NamedTuple):
    """A value a ramp rule was decided with: at ramp `ramp`, `rows` live rows, whether it was an exploration."""

    ramp: int
    rows: int
    factor: Fraction
    exploring: bool


class OnlineArt:
    """Feeds on durations, answers factors. `used`: the last `kept` values (None: all)."""

    def __init__(self, model: CostModel, limit: int, *, explore_every: int | None = None,
                 kept: int | None = KEPT) -> None:
        self.model, self.limit = model, limit
        self.explore_every = CONSULTS_PER_SPLIT * limit if explore_every is None else explore_every
        if limit < 1 or self.explore_every < 1:
            raise LimitError(f"exploration of {limit} splits every {self.explore_every} consults: expected 1 or more")
        ramps = model.num_segments - 1
        self._since = [self.explore_every if model.prior is None else 0] * ramps
        self._splits_left = [0] * ramps
        self.explorations = 0
        self.used: deque[UsedArt] = deque(maxlen=kept)
        self._cached: dict[int, tuple[Fraction, BoundPolicy]] = {}

    def observe(self, part: Part, index: int, rows: int, ticks: int) -> None:
        """As `CostModel.observe`; consults, splits and starts also move the exploration on."""
        self.model.observe(part, index, rows, ticks)
        if part == "ramp":
            self._consulted(index - 1)
        elif part == "rebatch" and self._splits_left[index - 1]:
            self.explorations += 1
            self._splits_left[index - 1] -= 1
            if not self._splits_left[index - 1]:
                self._since[index - 1] = 0
        elif part == "start":
            self._since[index - 2] = self._splits_left[index - 2] = 0

    def _consulted(self, at: int) -> None:
        self._since[at] += 1
        if not self._splits_left[at] and self._since[at] >= self.explore_every:
            self._splits_left[at] = self.limit

    def exploring(self, ramp: int) -> bool:
        """Whether a turn is under way at this ramp."""
        return self._splits_left[ramp - 1] > 0

    def factor(self, ramp: int, rows: int) -> Fraction:
        """c / t_d at `rows` live rows; EXPLORE in a turn, NEVER while unknown."""
        if self.exploring(ramp):
            return EXPLORE
        terms = self.model.terms(ramp, rows)
        if terms is None:
            return NEVER
        return terms.factor if terms.deep else Fraction(0)

    def policy_at(self, policy: BoundPolicy, ramp: int, rows: int, *, deciding: bool = False) -> BoundPolicy:
        """`policy` with the factors of now, to be asked at this ramp; `deciding`: note the value as used."""
        factor = self.factor(ramp, rows)
        if deciding:
            self.used.append(UsedArt(ramp, rows, factor, self.exploring(ramp)))
        cached = self._cached.get(ramp)
        if cached is None or cached[0] != factor:
            cached = self._cached[ramp] = factor, policy.with_art(ramp, factor)
        return cached[1]
