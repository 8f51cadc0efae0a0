"""The benchmark `best-params`: a policy with the best of a fixed set of its own parameter settings, at each input.

The set is a design over the search ranges of all parameters: the current settings, every parameter at its lowest and at
its highest, each parameter alone at either end, then points of the Halton sequence (Halton 1960) up to DESIGN settings.
It is the same at every input with the same N, so it needs no seed. A setting under which the policy would idle for ever
does not count. The best of a design is what *some* setting reaches in hindsight, per input: it is no tuning proposal,
and a finer search may find better ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.stats import qmc

from drex_runtime.policies import BoundPolicy
from drex_runtime.records.numbers import number_text
from xplain.tuning.ranges import REAL_STEP, SearchRange, search_ranges

BEST_PARAMS = "best-params"
DESIGN = 32  # settings, those that are equal counted once


def design(current: BoundPolicy, max_rows: int) -> tuple[dict[str, str], ...]:
    """Settings of `current`'s policy that differ from one another, at most DESIGN; the first is {}: as it is.

    Values are exact numbers in text form; one that equals the current value is left out.
    """
    names = tuple(item.name for item in current.policy.parameters)
    ranges = [item for item in search_ranges(current.policy, names, current, max_rows) if item.high > item.low]
    found: list[dict[str, str]] = [{}]

    def add(values: Sequence[tuple[SearchRange, Fraction]]) -> None:
        changed = {item.name: number_text(value) for item, value in values if value != current.values[item.name]}
        if changed not in found and len(found) < DESIGN:
            found.append(changed)

    for end in ("low", "high"):
        add([(item, getattr(item, end)) for item in ranges])
    for item in ranges:
        add([(item, item.low)])
        add([(item, item.high)])
    if ranges:
        # The first point of the sequence is the corner 0, which is there already.
        for shares in qmc.Halton(len(ranges), scramble=False).random(4 * DESIGN)[1:]:
            add([(item, value_of(item, float(share))) for item, share in zip(ranges, shares, strict=True)])
    return tuple(found)


def value_of(item: SearchRange, share: float) -> Fraction:
    """The value at a `share` (0 to 1) of a range; counts that can grow large on a logarithmic scale."""
    if not item.parameter.integer:
        return item.low + REAL_STEP * int(share * int((item.high - item.low) / REAL_STEP) + 0.5)
    low, high = int(item.low), int(item.high)
    if low >= 1 and high > 8:
        return Fraction(min(high, int(math.exp(math.log(low) + share * (math.log(high + 1) - math.log(low))))))
    return Fraction(min(high, low + int(np.floor(share * (high - low + 1)))))
