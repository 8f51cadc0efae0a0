"""Sums and differences of features: a cut that is oblique in single features is one predicate over their sum.

Built where the problem offers none. Only like features are added: the same unit, spreads within a factor of 20.
All pairs are formed (also with one side doubled, the best ones with other slopes), and triples with every choice of
signs from the promising pairs and features. Of many, those are kept that tell bad samples from others better than their
own parts do, the best first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Sample
from xplain.regions.record import Linear
from xplain.regions.table import Floats, Mask, Table

LIKE = 20.0
KEPT = 40
ALL_UP_TO = 60  # with so few sums in all, none is left out
EXTENDED = 12
SCREENED = 1500
CHUNK = 500
FITTED, CLEARLY = 6, 0.01
SLOPES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 3.0, 3.5,
          4.0, 5.0)
Terms = tuple[tuple[int, float], ...]


def linear_features(problem: Problem, table: Table, most_terms: int) -> tuple[Linear, ...]:
    """Derived features of at most `most_terms` (2 or 3) features of the table, plainest first."""
    base = _base(problem, table)
    if most_terms < 2 or len(base) < 2 or not table.bad.any() or table.bad.all():
        return ()
    rows = np.random.default_rng(len(table)).permutation(len(table))[:SCREENED]
    values, bad, weights = table.values[rows], table.bad[rows], table.weights[rows]
    if not bad.any() or bad.all():
        return ()
    single = {k: float(_separation(values[:, [k]], bad, weights)[0]) for k in base}
    pairs = [terms for a, b in combinations(base, 2) if _like(problem, table, a, b) for terms in _pairs(a, b)]
    scored = _scored(pairs, single, values, bad, weights)
    scored |= _fitted(scored, single, values, bad, weights)
    if most_terms >= 3:
        triples = _triples(problem, table, base, scored)
        scored |= _scored(triples, single, values, bad, weights)
    ranked = sorted(scored, key=lambda terms: (-scored[terms], len(terms), terms))
    kept = ranked if len(ranked) <= ALL_UP_TO else [terms for terms in ranked if scored[terms] > 0][:KEPT]
    kept.sort(key=lambda terms: (len(terms), sum(abs(c) for _, c in terms), terms))
    return tuple(_named(terms, table.names) for terms in kept)


def with_linear(samples: Sequence[Sample], linear: Sequence[Linear]) -> tuple[Sample, ...]:
    """The samples with derived features beside their own, so that `Region.holds` can be asked."""
    if not linear:
        return tuple(samples)
    return tuple(replace(sample, features=extended(sample.features, linear)) for sample in samples)


def extended(features: Mapping[str, float], linear: Sequence[Linear]) -> dict[str, float]:
    """Features and derived ones."""
    return {**features, **{each.name: each.value(features) for each in linear}}


def _base(problem: Problem, table: Table) -> list[int]:
    """The input's own dimensions if features name them (what else there is was derived already), else all features."""
    own = {dimension.name for dimension in problem.dimensions}
    named = [k for k, name in enumerate(table.names) if name in own]
    return named or list(range(len(table.names)))


def _like(problem: Problem, table: Table, a: int, b: int) -> bool:
    one, other = (float(np.ptp(table.values[:, k])) for k in (a, b))
    same = problem.describe(table.names[a])[1] == problem.describe(table.names[b])[1]
    return same and max(one, other) <= LIKE * min(one, other)


def _pairs(a: int, b: int) -> list[Terms]:
    counts = ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0))
    return [((a, one), (b, sign * other)) for one, other in counts for sign in (1.0, -1.0)]


def _triples(problem: Problem, table: Table, base: Sequence[int], pairs: Mapping[Terms, float]) -> list[Terms]:
    """Of the features of the best pairs, every three of them that are like each other."""
    named: dict[int, None] = {}
    for terms in sorted(pairs, key=lambda terms: (-pairs[terms], terms)):
        named.update(dict.fromkeys(k for k, _ in terms))
        if len(named) >= min(EXTENDED, len(base)):
            break
    found = list[Terms]()
    for three in combinations(sorted(named), 3):
        if all(_like(problem, table, a, b) for a, b in combinations(three, 2)):
            found += [tuple(zip(three, (1.0, *signs), strict=True)) for signs in product((1.0, -1.0), repeat=2)]
    return found


def _fitted(pairs: Mapping[Terms, float], single: Mapping[int, float], values: Floats, bad: Mask,
            weights: Floats) -> dict[Terms, float]:
    """The best pairs with other coefficients, where these tell bad samples from others clearly better."""
    best = dict[tuple[int, int], Terms]()
    for terms in sorted(pairs, key=lambda terms: (-pairs[terms], terms)):
        best.setdefault((terms[0][0], terms[1][0]), terms)
    found = dict[Terms, float]()
    for terms in list(best.values())[:FITTED]:
        (a, _), (b, second) = terms
        sloped: list[Terms] = [((a, 1.0), (b, math.copysign(slope, second))) for slope in SLOPES]
        scored = _scored(sloped, single, values, bad, weights)
        top = max(scored, key=lambda each: (scored[each], each))
        if scored[top] > pairs[terms] + CLEARLY:
            found[top] = scored[top]
    return found


def _scored(candidates: Sequence[Terms], single: Mapping[int, float], values: Floats, bad: Mask,
            weights: Floats) -> dict[Terms, float]:
    """By how much each tells bad from others better than the best of its parts does."""
    scored = dict[Terms, float]()
    for first in range(0, len(candidates), CHUNK):
        chunk = candidates[first:first + CHUNK]
        sums = np.column_stack([sum(c * values[:, k] for k, c in terms) for terms in chunk])
        for terms, found in zip(chunk, _separation(sums, bad, weights), strict=True):
            scored[terms] = float(found) - max(single[k] for k, _ in terms)
    return scored


def _separation(values: Floats, bad: Mask, weights: Floats) -> Floats:
    """Per column the largest distance between the distributions of bad samples and of others (Kolmogorov-Smirnov)."""
    steps = np.where(bad, weights / weights[bad].sum(), -weights / weights[~bad].sum())
    order = np.argsort(values, axis=0, kind="stable")
    running, ranked = np.cumsum(steps[order], axis=0), np.take_along_axis(values, order, axis=0)
    running[:-1][ranked[1:] == ranked[:-1]] = 0.0  # no cut can fall between equal values
    return np.asarray(np.abs(running).max(axis=0))


def _named(terms: Terms, names: Sequence[str]) -> Linear:
    text = ""
    for k, coefficient in terms:
        sign = (" + " if coefficient > 0 else " - ") if text else ("" if coefficient > 0 else "-")
        text += sign + ("" if abs(coefficient) == 1 else f"{abs(coefficient):g} ") + names[k]
    return Linear(text, tuple((names[k], coefficient) for k, coefficient in terms))
