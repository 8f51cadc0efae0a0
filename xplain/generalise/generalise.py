"""From a family of instances to what can be said of all of them.

Draw, split in two; test the whole grammar on one half (corrected over everything tested), confirm on the other,
measure effects there. Source: analyzer design, Generalising (Type 3).
"""

from __future__ import annotations

from itertools import chain

import numpy as np

from drex_runtime.errors import InputError
from xplain.generalise.confirm import Halves, choose, confirm
from xplain.generalise.discover import discover, most_permutations, num_tests
from xplain.generalise.family import I, InstanceFamily
from xplain.generalise.hypotheses import Bench
from xplain.generalise.notes import notes, unlooked
from xplain.generalise.prepare import FEWEST, Prepared, prepared
from xplain.generalise.record import Claim, FeatureNote, Generalisation
from xplain.generalise.table import Drawn, aligned, draw, results
from xplain.generalise.test import Shuffles
from xplain.generalise.words import Words

LEVEL = 0.05


def generalise(family: InstanceFamily[I], *, instances: int, held_out: int, seed: int, jobs: int = 1,
               level: float = LEVEL) -> Generalisation:
    """Claims about `family` found on `instances` instances and confirmed on `held_out` others.

    Deterministic in everything but `jobs`, which changes nothing. Raises InputError.
    """
    for name, value in (("instances", instances), ("held_out", held_out), ("jobs", jobs)):
        if value < 1:
            raise InputError("generalise", name, value, "at least 1")
    if not 0 < level < 1:
        raise InputError("generalise", "level", level, "a number between 0 and 1")
    search = draw(family, "search", instances, seed, jobs)
    fresh = draw(family, "held-out", held_out, seed, jobs)
    return generalised(search, fresh, words_of(family), seed=seed, level=level)


def words_of(family: InstanceFamily[I]) -> Words:
    """What a family says of itself."""
    return Words(family.name, family.noun, *family.response, family.describe)


def generalised(search: Drawn, held_out: Drawn, words: Words, *, seed: int, level: float = LEVEL) -> Generalisation:
    """The same from instances that are there already."""
    search, held_out = aligned(search, held_out)
    one, other = search.answered, held_out.answered
    ready = prepared(one, other)
    why = _impossible(search, held_out, ready, words)
    claims: tuple[Claim, ...] = ()
    found, tests = unlooked(search.names, ready, words, "not tested"), 0
    if not why:
        claims, found, tests = _looked(one, other, ready, words, seed, level)
    instances = tuple(chain(results(search, "search"), results(held_out, "held-out")))
    return Generalisation(words.family, words.noun, words.response, words.unit, seed, level, len(one), len(other),
                          tests, claims, found, why or _verdict(claims, found, words, len(other)),
                          tuple(_limits(search, held_out, words)), instances)


def _looked(one: Drawn, other: Drawn, ready: Prepared, words: Words, seed: int, level: float
            ) -> tuple[tuple[Claim, ...], tuple[FeatureNote, ...], int]:
    names = ready.names
    bench = Bench(one, names, Shuffles(len(one), (seed, 1)), most_permutations(names, level))
    found = discover(bench, level)
    kept = found.mains.kept
    search = bench.keeping(kept)
    chosen = choose(search, found, seed, level)
    most = int(4 * max(1, len(chosen.candidates)) / level) + 1
    held = Bench(other, names, Shuffles(len(other), (seed, 2)), most, kept)
    both = Drawn(one.names, np.concatenate([one.values, other.values]),
                 np.concatenate([one.response, other.response]))
    halves = Halves(search, held, Bench(both, names, Shuffles(len(both), (seed, 3)), kept=kept))
    claims = confirm(halves, chosen, level, words, ready.same)
    return claims, notes(one.names, ready, halves, found, chosen, claims, level, words), num_tests(names)


def _impossible(search: Drawn, held_out: Drawn, ready: Prepared, words: Words) -> str:
    """Why nothing can be tested; empty: it can."""
    one, other = search.answered, held_out.answered
    fewest = min(len(one), len(other))
    if fewest < FEWEST:
        without = len(search) + len(held_out) - len(one) - len(other)
        note = f" ({without} {words.noun} have no response)" if without else ""
        return (f"cannot tell: {len(one)} {words.noun} to search and {len(other)} to confirm{note}; at least {FEWEST} "
                "of each are needed")
    values = np.concatenate([one.response, other.response])
    if (values == values[0]).all():
        return f"nothing to generalise: the gap is {values[0]:.6g} {words.unit} on all {len(values)} {words.noun}"
    if not ready.names:
        return "cannot tell: no feature varies"
    return ""


def _verdict(claims: tuple[Claim, ...], found: tuple[FeatureNote, ...], words: Words, held_out: int) -> str:
    tested = sum(note.partial is not None for note in found)
    if not claims:
        return f"nothing found: of {tested} features none is shown to matter on {held_out} held-out {words.noun}"
    stated = "; ".join(claim.sentence.partition(": ")[0] for claim in claims)
    concerned = {claim.feature for claim in claims} | {claim.where.feature for claim in claims if claim.where}
    rest = tested - len(concerned)
    return f"{stated}; nothing is claimed about the other {rest} features tested" if rest else stated


def _limits(search: Drawn, held_out: Drawn, words: Words) -> list[str]:
    found = [f"Statistical: about {words.noun} as this generator draws them; the response is {words.response}.",
             "A feature that nobody listed may stand behind one that is claimed."]
    for name, half in (("search", search), ("held-out", held_out)):
        missing = len(half) - len(half.answered)
        if missing:
            found.append(f"{missing} of {len(half)} {name} {words.noun} have no response and were left out.")
    return found
