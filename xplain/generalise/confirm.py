"""From what was found on some instances to claims confirmed on others, with effects measured on those others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from xplain.generalise.discover import Discovered
from xplain.generalise.effects import partial_correlation, slopes, threshold_range
from xplain.generalise.hypotheses import Bench, around
from xplain.generalise.interactions import QUALITATIVE, filled, sides
from xplain.generalise.record import Claim, Direction
from xplain.generalise.select import Found
from xplain.generalise.shape import shape_of
from xplain.generalise.words import Words
from xplain.regions.score import holm
from xplain.regions.table import Floats


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


def choose(search: Bench, found: Discovered, seed: int, level: float) -> Chosen:
    """Per selected feature the sentence that fits, trend or step; interactions that stand on their own."""
    candidates, turning = list[Found](), set[str]()
    for name in found.mains.alone:
        judged = shape_of(search, name, seed, level)
        if judged.shape == "turns":
            turning.add(name)
            continue
        by = found.mains.found[name]
        passing = [each for each in by.values() if each.corrected <= level]
        if passing:
            candidates.append(by[judged.shape] if by[judged.shape] in passing else passing[0])
    return Chosen((*candidates, *found.strongest), frozenset(turning))


def confirm(halves: Halves, chosen: Chosen, level: float, words: Words, same: dict[str, tuple[str, ...]]
            ) -> tuple[Claim, ...]:
    """Claims that hold on held-out instances too, one-sided, corrected over all candidates."""
    held = halves.held_out
    alone = [_held_out_p(held, found) for found in chosen.candidates]
    claims = list[Claim]()
    for found, p in zip(chosen.candidates, holm(alone), strict=True):
        if p > level:
            continue
        claim = _interaction(halves, found, p) if found.hypothesis.kind == "interaction" else _main(halves, found, p)
        if claim is not None:
            claims.append(words.completed(claim, same[claim.feature]))
    special = {claim.feature for claim in claims if claim.kind in QUALITATIVE}
    # "grows with f" is no sentence about f where it does so in one part only.
    return tuple(claim for claim in claims if claim.where is not None or claim.feature not in special)


def _held_out_p(held: Bench, found: Found) -> float:
    together = found.hypothesis.kind == "interaction"
    null = held.null_of_interactions() if together else held.null(found.hypothesis.feature)
    return null.test(held.columns(found.hypothesis, _at(found)), found.sign).p_value


def _at(found: Found) -> Floats:
    return np.zeros(0) if found.cut is None else np.array([found.cut])


def _main(halves: Halves, found: Found, p: float) -> Claim | None:
    held, name = halves.held_out, found.hypothesis.feature
    span, column = held.others(name), filled(held.column(name))
    step = found.hypothesis.kind == "step"
    tested = held.columns(found.hypothesis, _at(found))
    effect = slopes(held.drawn.response, tested if step else column[:, None], span).of((1.0,))
    if effect.value * found.sign <= 0:
        return None  # shown by the ranks only: the response itself says otherwise
    claim = Claim("threshold" if step else "trend", name, _direction(found.sign), effect,
                  partial_correlation(held.response, tested[:, 0], span), found.corrected, p, len(held), "")
    if not step:
        return claim
    values = filled(halves.both.column(name))
    return _placed(claim, found, halves.both, values, lambda cut: (values > cut).astype(np.float64)[:, None])


def _placed(claim: Claim, found: Found, both: Bench, values: Floats, column: Callable[[float], Floats]) -> Claim:
    """With its cut, and between which values of all instances that lies."""
    kind = found.hypothesis.kind
    span = both.everything() if kind == "interaction" else both.others(claim.feature)
    low, high = threshold_range(both.response, values, column, span)
    cut = float(found.cut or 0.0)
    return replace(claim, cut=cut, cut_range=(min(low, cut), max(high, cut)))


def _interaction(halves: Halves, found: Found, p: float) -> Claim | None:
    held, both = halves.held_out, halves.both
    name, other = found.hypothesis.feature, found.hypothesis.other
    shown = sides(held, name, other, float(found.cut or 0.0))
    if shown is None:
        return None
    claim = Claim(shown.kind, name, _direction(shown.sign), shown.effect, shown.rank, found.corrected, p, len(held), "",
                  where=shown.where, elsewhere=shown.elsewhere)
    own, values = both.column(name), filled(both.column(other))
    return _placed(claim, found, both, values, lambda at: around(own, values, at))


def _direction(sign: int) -> Direction:
    return "increasing" if sign > 0 else "decreasing"
