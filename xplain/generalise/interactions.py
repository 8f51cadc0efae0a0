"""Of two features that act together: what the one does on either side of a bound on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xplain.generalise.controls import orthonormal, scores
from xplain.generalise.effects import Slopes, partial_correlation, slopes
from xplain.generalise.hypotheses import Bench
from xplain.generalise.record import ClaimKind, Estimate
from xplain.records import Predicate
from xplain.regions.table import Floats, Mask

NEGLIGIBLE = 0.5  # an effect elsewhere surely below this share of the effect counts as none
QUALITATIVE: tuple[ClaimKind, ...] = ("only-where", "reversed")  # do not depend on how the response is scaled


@dataclass(frozen=True)
class Sides:
    """`where` is the side the sentence is about, `sign` of the effect there; `effect`, `elsewhere` in units of the
    response per unit of the feature, `rank` the partial rank correlation there."""

    kind: ClaimKind
    where: Predicate
    sign: int
    effect: Estimate
    elsewhere: Estimate
    rank: Estimate


def sides(bench: Bench, name: str, other: str, cut: float) -> Sides | None:
    """None: the instances do not show in which way the effect differs."""
    low = bench.column(other) <= cut
    if low.all() or not low.any():
        return None
    span = orthonormal(np.column_stack([bench.others(name, (other,)), low.astype(np.float64)]))
    own = scores(bench.column(name))
    ranked = _by_side(bench.response, own, low, span)
    raw = _by_side(bench.drawn.response, filled(bench.column(name)), low, span)
    below, above = ranked.of((1.0, 0.0)), ranked.of((0.0, 1.0))
    inside, kind = _kind(below, above, raw)
    if kind is None:
        return None
    here, there = ((1.0, 0.0), (0.0, 1.0)) if inside else ((0.0, 1.0), (1.0, 0.0))
    sign = 1 if (below if inside else above).value > 0 else -1
    effect = raw.of(here)
    if effect.value * sign <= 0 or (kind == "stronger-where" and not effect.excludes(0.0)):
        return None  # shown by the ranks only: the response itself says otherwise, or nothing
    rank = partial_correlation(bench.response, np.where(low if inside else ~low, own, 0.0), span)
    return Sides(kind, Predicate(other, "<=" if inside else ">", cut), sign, effect, raw.of(there), rank)


def filled(column: Floats) -> Floats:
    """Where it is not defined: the mean, which says nothing (and that it is not defined is held fixed)."""
    finite = np.isfinite(column)
    return np.where(finite, column, column[finite].mean())


def _kind(below: Estimate, above: Estimate, raw: Slopes) -> tuple[bool, ClaimKind | None]:
    """Whether `below` is the side of the sentence, and which sentence (None: neither of them is shown).

    "Stronger" depends on how the response is scaled, so it is asked of the response itself, not of its ranks.
    """
    inside = abs(below.value) >= abs(above.value)
    here, there = (below, above) if inside else (above, below)
    if not here.excludes(0.0):
        return inside, None
    sign = math.copysign(1.0, here.value)
    if there.excludes(0.0) and there.value * sign < 0:
        return inside, "reversed"
    most = max(sign * there.low, sign * there.high)
    if not there.excludes(0.0) and most < NEGLIGIBLE * abs(here.value):
        return inside, "only-where"
    contrast = raw.of((1.0, -1.0))
    return contrast.value * sign > 0, "stronger-where" if contrast.excludes(0.0) else None


def _by_side(response: Floats, column: Floats, low: Mask, span: Floats) -> Slopes:
    side = low.astype(np.float64)
    return slopes(response, np.column_stack([column * side, column * (1 - side)]), span)
