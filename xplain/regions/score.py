"""What fresh samples say about a region: shares with intervals, and a paired test against the outside.

Sources: Wilson (1927) interval; Wilcoxon (1945) signed-rank test with Pratt's treatment of zeros; Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import rankdata, wilcoxon

from xplain.problems.interface import Problem
from xplain.records import Rate, Sample
from xplain.regions.table import Floats, Mask, Table

Z95 = 1.959963984540054
MAX_PAIRS = 1000
MIN_PAIRS = 6


def wilson(successes: int, of: int) -> Rate:
    """A share with its 95 % Wilson interval; nothing observed gives the interval [0, 1]."""
    if of == 0:
        return Rate(0.0, 0.0, 1.0, 0)
    share, spread = successes / of, Z95 * Z95 / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == of else min(1.0, middle + half)
    return Rate(share, low, high, of)


@dataclass(frozen=True)
class Shares:
    """Scores of a region on fresh samples of the declared distribution."""

    precision: Rate
    coverage: Rate
    share: Rate
    mean_gap: float


def shares(table: Table, inside: Mask) -> Shares:
    """P(bad | region), P(region | bad), P(region), mean relative gap inside (0 if nothing is inside)."""
    both, within = int((inside & table.bad).sum()), int(inside.sum())
    return Shares(wilson(both, within), wilson(both, int(table.bad.sum())), wilson(within, len(table)),
                  float(table.gaps[inside].mean()) if within else 0.0)


@dataclass(frozen=True)
class Test:
    """One-sided paired test: p-value, mean difference of the pairs, number of pairs, points that were given no partner
    (of `pairs` + `unpaired` that were tested: at most MAX_PAIRS of those inside)."""

    p_value: float
    effect: float
    pairs: int
    unpaired: int


def paired_test(table: Table, inside: Mask, outside: Mask, seed: int, places: Floats | None = None, *,
                most: int = MAX_PAIRS) -> Test:
    """Are gaps inside larger than at the nearest points outside?

    Nearest by `places` (rows of coordinates that moves change one at a time: fewest moves), without them by ranked
    features; ties are broken at random, seeded. Every point has at most one partner, otherwise the pairs would not be
    independent; the total distance is smallest. Without any point outside (a region that is the whole space) the gaps
    themselves are tested against zero. Too few pairs: p = 1. `most`: points inside that are tested, picked at random
    if there are more.
    """
    within = _picked(np.flatnonzero(inside), seed, most)
    without = _picked(np.flatnonzero(outside), seed + 1, MAX_PAIRS)
    if len(without) == 0 and bool(inside.all()):
        return _signed_rank(table.gaps[within], unpaired=0)
    if len(within) == 0 or len(without) == 0:
        return Test(1.0, 0.0, 0, len(within))
    if places is None:
        ranks: Floats = rankdata(table.values, axis=0) / len(table)
        distances = cdist(ranks[within], ranks[without], "cityblock")
    else:
        distances = np.round(cdist(places[within], places[without], "hamming") * places.shape[1])
    # Far smaller than any real difference, even summed over all pairs.
    ties = np.random.default_rng((seed, 19)).random(distances.shape) * (1e-3 / MAX_PAIRS)
    rows, columns = linear_sum_assignment(distances + (ties if places is not None else ties * 1e-6))
    return _signed_rank(table.gaps[within[rows]] - table.gaps[without[columns]], unpaired=len(within) - len(rows))


def structural_places(problem: Problem, samples: Sequence[Sample]) -> Floats | None:
    """Coordinates of inputs of exact scale, in which a structural move changes one (whole dimensions, in every point);
    None where inputs have no such form: nearness is read off the features there."""
    names = [dimension.name for dimension in problem.dimensions]
    if problem.scale != "exact" or not names or not all(dimension.integer for dimension in problem.dimensions):
        return None
    if any(name not in sample.point for sample in samples for name in names):
        return None
    return np.array([[sample.point[name] for name in names] for sample in samples], dtype=np.float64)


def _picked(rows: NDArray[np.int64], seed: int, most: int) -> NDArray[np.int64]:
    """At most so many of the rows, at random: the assignment is cubic in them."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng((seed, 17)).choice(rows, most, replace=False))


def _signed_rank(differences: Floats, unpaired: int) -> Test:
    effect = float(differences.mean())
    if len(differences) < MIN_PAIRS or not np.any(differences):
        return Test(1.0, effect, len(differences), unpaired)
    # "approx": the exact distribution assumes no ties and no zeros, and gaps of zero are common.
    found = wilcoxon(differences, zero_method="pratt", alternative="greater", method="approx")
    return Test(float(found.pvalue), effect, len(differences), unpaired)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-corrected p-values in the order given."""
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[k]))
        corrected[k] = largest
    return corrected
