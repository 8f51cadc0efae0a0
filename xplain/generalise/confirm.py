"""From what was found on some instances to claims confirmed on others, with effects measured on those others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from xplain.generalise.controls import orthonormal, scores
from xplain.generalise.discover import Found, most_permutations, strongest_interactions
from xplain.generalise.effects import Slopes, partial_correlation, slopes, threshold_range
from xplain.generalise.hypotheses import Bench
from xplain.generalise.record import Claim, ClaimKind, Direction, Estimate
from xplain.generalise.shape import shape_of
from xplain.generalise.words import Words
from xplain.records import Predicate
from xplain.regions.score import holm
from xplain.regions.table import Floats, Mask

NEGLIGIBLE = 0.5  # an effect elsewhere surely below this share of the effect counts as none


@dataclass(frozen=True)
class Halves:
    """Instances to search, to confirm, and all of them."""

    search: Bench
    held_out: Bench
    both: Bench


@dataclass(frozen=True)
class Chosen:
    """What is worth confirming, and the features that matter but turn back."""

    candidates: tuple[Found, ...]
    turning: frozenset[str]


def choose(search: Bench, tested: list[Found], seed: int, level: float) -> Chosen:
    """Per feature the sentence that fits (trend or step) if its test passes; interactions that stand on their own."""
    mains: dict[str, dict[str, Found]] = {name: {} for name in search.names}
    for found in tested:
        if found.hypothesis.kind != "interaction":
            mains[found.hypothesis.feature][found.hypothesis.kind] = found
    candidates, turning = list[Found](), set[str]()
    for name, by in mains.items():
        passing = {kind: found for kind, found in by.items() if found.corrected <= level}
        if not passing:
            continue
        judged = shape_of(search, name, seed, level)
        if judged.shape == "turns":
            turning.add(name)
        else:
            candidates.append(passing.get(judged.shape) or next(iter(passing.values())))
    return Chosen((*candidates, *strongest_interactions(search, tested, level)), frozenset(turning))


def confirm(halves: Halves, chosen: Chosen, level: float, words: Words, same: dict[str, tuple[str, ...]]
            ) -> tuple[Claim, ...]:
    """Claims that hold on held-out instances too, one-sided, corrected over all candidates."""
    held = halves.held_out
    alone = [_held_out_p(held, found) for found in chosen.candidates]
    claims = list[Claim]()
    for found, p in zip(chosen.candidates, holm(alone), strict=True):
        if p > level:
            continue
        claim = _interaction(held, found, p) if found.hypothesis.kind == "interaction" else _main(halves, found, p)
        if claim is not None:
            claims.append(words.completed(claim, same[claim.feature]))
    special = {claim.feature for claim in claims if claim.kind in ("only-where", "reversed")}
    # "grows with f" is no sentence about f where it does so in one part only.
    return tuple(claim for claim in claims if claim.where is not None or claim.feature not in special)


def held_out_bench(bench: Bench, candidates: int, level: float) -> Bench:
    """The same instances with as many permutations as confirming takes."""
    return bench.with_permutations(most_permutations(candidates, level))


def _held_out_p(held: Bench, found: Found) -> float:
    null = held.null(found.hypothesis)
    return null.test(held.columns(found.hypothesis, _at(found)), found.sign).p_value


def _at(found: Found) -> Floats:
    return np.zeros(0) if found.cut is None else np.array([found.cut])


def _main(halves: Halves, found: Found, p: float) -> Claim | None:
    held, name = halves.held_out, found.hypothesis.feature
    span, column = held.others(name), _filled(held.column(name))
    step = found.hypothesis.kind == "step"
    tested = held.columns(found.hypothesis, _at(found))
    effect = slopes(held.drawn.response, tested if step else column[:, None], span).of((1.0,))
    claim = Claim("threshold" if step else "trend", name, _direction(found.sign), effect,
                  partial_correlation(held.response, tested[:, 0], span), found.corrected, p, len(held), "")
    if not step:
        return claim
    both = halves.both
    low, high = threshold_range(both.response, _filled(both.column(name)), both.others(name))
    cut = float(found.cut or 0.0)
    return replace(claim, cut=cut, cut_range=(min(low, cut), max(high, cut)))


def _interaction(held: Bench, found: Found, p: float) -> Claim | None:
    name, other, cut = found.hypothesis.feature, found.hypothesis.other, float(found.cut or 0.0)
    low = held.column(other) <= cut
    span = orthonormal(np.column_stack([held.others(name), low.astype(np.float64)]))
    ranked = _by_side(held.response, scores(held.column(name)), low, span)
    raw = _by_side(held.drawn.response, _filled(held.column(name)), low, span)
    below, above = ranked.of((1.0, 0.0)), ranked.of((0.0, 1.0))
    inside, kind = _kind(below, above, raw)
    if kind is None:
        return None
    here, there = ((1.0, 0.0), (0.0, 1.0)) if inside else ((0.0, 1.0), (1.0, 0.0))
    part = low if inside else ~low
    where = Predicate(other, "<=" if inside else ">", cut)
    sign = 1 if (below if inside else above).value > 0 else -1
    within = np.where(part, scores(held.column(name)), 0.0)
    return Claim(kind, name, _direction(sign), raw.of(here), partial_correlation(held.response, within, span),
                 found.corrected, p, len(held), "", where=where, elsewhere=raw.of(there))


def _kind(below: Estimate, above: Estimate, raw: Slopes) -> tuple[bool, ClaimKind | None]:
    """Whether `below` is the side of the sentence, and which sentence (None: neither of them is shown).

    The first two do not depend on how the response is scaled; "stronger" does, so it is asked of the response itself.
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
    steeper_below = contrast.value * sign > 0
    return steeper_below, "stronger-where" if contrast.excludes(0.0) else None


def _by_side(response: Floats, column: Floats, low: Mask, span: Floats) -> Slopes:
    side = low.astype(np.float64)
    return slopes(response, np.column_stack([column * side, column * (1 - side)]), span)


def _filled(column: Floats) -> Floats:
    """Where it is not defined: the mean, which says nothing (and that it is not defined is held fixed)."""
    finite = np.isfinite(column)
    return np.where(finite, column, column[finite].mean())


def _direction(sign: int) -> Direction:
    return "increasing" if sign > 0 else "decreasing"
