"""What became of every feature, also of those about which nothing is claimed: why not, and how much is ruled out."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from xplain.generalise.confirm import Chosen, Halves
from xplain.generalise.controls import scores
from xplain.generalise.discover import Discovered
from xplain.generalise.effects import partial_correlation
from xplain.generalise.hypotheses import Bench
from xplain.generalise.prepare import Prepared
from xplain.generalise.record import Claim, Estimate, FeatureNote, Status
from xplain.generalise.words import Words, interval
from xplain.regions.table import Floats


def notes(names: tuple[str, ...], ready: Prepared, halves: Halves, discovered: Discovered, chosen: Chosen,
          claims: tuple[Claim, ...], level: float, words: Words) -> tuple[FeatureNote, ...]:
    """In the order of the family."""
    found = []
    for name in names:
        if name in ready.unfit:
            status, text = ready.unfit[name]
            found.append(_note(name, words, status, text))
        else:
            found.append(_tested(name, halves, discovered, chosen, claims, level, words))
    return tuple(found)


def unlooked(names: tuple[str, ...], ready: Prepared, words: Words, why: str) -> tuple[FeatureNote, ...]:
    """Where nothing could be tested."""
    return tuple(_note(name, words, *ready.unfit.get(name, ("undefined", why))) for name in names)


def _tested(name: str, halves: Halves, discovered: Discovered, chosen: Chosen, claims: tuple[Claim, ...], level: float,
            words: Words) -> FeatureNote:
    held = halves.held_out
    column = scores(held.column(name))
    alone = float(held.response @ column) / len(held)
    partial = partial_correlation(held.response, column, held.others(name))
    p = discovered.smallest_p(name)
    status, text = _status(name, halves, discovered, chosen, claims, level, partial, words)
    return FeatureNote(name, *words.describe(name), status, text, alone, partial, p)


def _status(name: str, halves: Halves, discovered: Discovered, chosen: Chosen, claims: tuple[Claim, ...], level: float,
            partial: Estimate, words: Words) -> tuple[Status, str]:
    if any(claim.feature == name for claim in claims):
        return "claimed", "claimed"
    if any(claim.where is not None and claim.where.feature == name for claim in claims):
        return "in an interaction", "decides where another feature matters"
    if name in chosen.turning:
        return "not monotone", "the gap changes with it, but neither rises nor falls throughout"
    rival = discovered.mains.rivals.get(name)
    if rival is not None:
        return "inseparable", f"moves with the gap, but cannot be told apart from {words.meaning(rival)} here"
    if any(found.hypothesis.feature == name for found in chosen.candidates):
        return "not confirmed", "found when searching, not confirmed on held-out instances"
    if _matters_alone(halves.search, name, level):
        kept = [other for other in discovered.mains.kept if other != name]
        if kept:
            by = max(kept, key=lambda other: _tied(halves.search, name, other))
            return "explained by others", f"moves with the gap, but not where {words.meaning(by)} is held fixed"
        return "not confirmed", "moves with the gap by itself, but not surely enough among so many tests"
    return "no effect found", f"partial rank correlation {interval(partial)}"


def _matters_alone(bench: Bench, name: str, level: float) -> bool:
    """By itself, corrected (Bonferroni) over the features; only words depend on it, no claim."""
    related = float(bench.response @ scores(bench.column(name))) / len(bench)
    z = abs(np.arctanh(np.clip(related, -1 + 1e-12, 1 - 1e-12))) * np.sqrt(max(1, len(bench) - 3))
    return bool(2 * norm.sf(z) * len(bench.names) <= level)


def _tied(bench: Bench, one: str, other: str) -> float:
    pair: tuple[Floats, Floats] = scores(bench.column(one)), scores(bench.column(other))
    return abs(float(pair[0] @ pair[1])) / len(bench)


def _note(name: str, words: Words, status: Status, text: str) -> FeatureNote:
    return FeatureNote(name, *words.describe(name), status, text)
