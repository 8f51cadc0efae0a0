"""What "other features held fixed" means: columns that stand for other features, taken out of everything tested.

A feature with few values gets a column per value (instances are then compared within strata), any other one a cubic in
its ranks. Products of two features are added where they move with what is tested ("double selection": a product that
moves with the response *or* with the feature, since both bias a comparison that leaves it out). At most a quarter of
the instances' number of columns, so that something is left to compare.
Sources: Belloni, Chernozhukov, Hansen (2014); van der Waerden (1952) for scores.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.stats import norm, rankdata

from xplain.regions.table import Floats

LEVELS = 6  # a feature with at most so many values is stratified
MOST_DEGREE = 3
SHARE = 4  # at most n / SHARE columns
PRODUCT_LEVEL = 0.01  # over all products
TINY = 1e-9


def scores(values: Floats) -> Floats:
    """Normal scores of midranks, mean 0 and variance 1; all zeros if nothing varies. What is not defined: 0."""
    finite = np.isfinite(values)
    found = np.zeros(len(values))
    if finite.sum() < 2:
        return found
    ranks = rankdata(values[finite])
    scored = norm.ppf(ranks / (len(ranks) + 1))
    scored -= scored.mean()
    spread = scored.std()
    found[finite] = scored / spread if spread > TINY else 0.0
    return found


def basis(values: Floats, degree: int) -> Floats:
    """Columns [instance, column] that stand for one feature; NaN gets the middle and a column of its own."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros((len(values), 0))
    filled = np.where(finite, values, np.median(values[finite]))
    distinct = np.unique(filled)
    if degree > 1 and len(distinct) <= LEVELS:
        columns = (filled[:, None] == distinct[None, 1:]).astype(np.float64)
    else:
        columns = legvander(_centred_ranks(filled), degree)[:, 1:]
    return columns if finite.all() else np.column_stack([columns, (~finite).astype(np.float64)])


def orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis of the span of the columns and a constant."""
    whole = np.column_stack([np.ones(len(columns)), columns])
    left, sizes, _ = np.linalg.svd(whole, full_matrices=False)
    return np.asarray(left[:, sizes > max(whole.shape) * np.finfo(np.float64).eps * sizes[0] * 10])


def without(span: Floats, columns: Floats) -> Floats:
    """What `span` (orthonormal) does not explain of the columns [instance, ...]."""
    return np.asarray(columns - span @ (span.T @ columns))


def controls(others: Floats, tested: Floats, *, products: bool = True) -> Floats:
    """Orthonormal [instance, column] for other features [instance, feature], given what is tested [instance, ...]."""
    count, budget = len(others), max(1, len(others) // SHARE)
    for degree in range(MOST_DEGREE, 0, -1):
        parts = [basis(column, degree) for column in others.T]
        if sum(part.shape[1] for part in parts) <= budget:
            break
    else:
        parts = _most_related(others, tested, budget)
    span = orthonormal(np.column_stack([np.zeros((count, 0)), *parts]))
    return _with_products(span, others, tested, budget) if products else span


def _most_related(others: Floats, tested: Floats, budget: int) -> list[Floats]:
    """One column each of those others that move most with what is tested: there are too few instances for all."""
    linear = np.column_stack([scores(column) for column in others.T])
    related = np.abs(linear.T @ tested.reshape(len(tested), -1)).max(axis=1)
    return [linear[:, [k]] for k in np.argsort(-related, kind="stable")[:budget]]


def _with_products(span: Floats, others: Floats, tested: Floats, budget: int) -> Floats:
    pairs = list(combinations(range(others.shape[1]), 2))
    if not pairs or span.shape[1] > budget:
        return span
    linear = np.column_stack([scores(column) for column in others.T])
    columns = np.column_stack([linear[:, one] * linear[:, other] for one, other in pairs])
    limit = float(norm.isf(PRODUCT_LEVEL / (2 * len(pairs))))
    while span.shape[1] <= budget:
        left, aims = without(span, columns), without(span, tested.reshape(len(tested), -1))
        sizes, targets = np.linalg.norm(left, axis=0), np.linalg.norm(aims, axis=0)
        left = np.where(sizes > 1e-6 * np.sqrt(len(span)), left / np.maximum(sizes, TINY), 0.0)
        related = np.abs(left.T @ (aims / np.maximum(targets, TINY))).max(axis=1)
        best = int(related.argmax())
        if related[best] * np.sqrt(len(span) - span.shape[1]) < limit:
            break
        span = np.column_stack([span, left[:, best]])
    return span


def _centred_ranks(values: Floats) -> Floats:
    ranks: Floats = rankdata(values)
    return 2 * ranks / (len(ranks) + 1) - 1
