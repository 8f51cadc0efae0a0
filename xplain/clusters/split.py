"""Splits a region whose workloads lose for different reasons, along what an operator can see of them.

Workloads are labelled by their dominant cause; a tree of depth 2 over the features must predict the label on workloads
it was not fitted on, else the region stays whole: a split that does not generalise would only rename noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from xplain.clusters.shares import Shares
from xplain.records import Point, Predicate, Region

LEAST_SHARE = 0.15  # of a region's workloads: fewer are noise, not a second cause
LEAST_SAMPLES = 5
AGREEMENT = 0.7  # mean over causes of the share of workloads whose cause the tree predicts
FOLDS = 5


@dataclass(frozen=True)
class Part:
    """Rows of `Shares` that lie in a part of a region, with what was added to the region's predicates."""

    region: Region
    split: tuple[Predicate, ...]
    rows: npt.NDArray[np.bool_]


def parts_of(region: Region, shares: Shares, features: Mapping[int, Point], seed: int) -> tuple[Part, ...]:
    """The region as one part, or as the leaves of a tree that tells its causes apart."""
    whole = (Part(region, (), np.ones(len(shares.rows), dtype=bool)),)
    labels = shares.dominant()
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    large = values[counts >= max(LEAST_SAMPLES, LEAST_SHARE * len(labels))]
    if len(large) < 2:
        return whole
    names = sorted(set.intersection(*(set(features[sample]) for sample in shares.samples)))
    table = np.array([[features[sample][name] for name in names] for sample in shares.samples])
    told = np.isin(labels, large)
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=LEAST_SAMPLES, class_weight="balanced",
                                  random_state=seed)
    folds = StratifiedKFold(min(FOLDS, int(counts.max(initial=2)), *(int((labels == k).sum()) for k in large)),
                            shuffle=True, random_state=seed)
    guessed = cross_val_predict(tree, table[told], labels[told], cv=folds)
    agreement = float(np.mean([np.mean(guessed[labels[told] == k] == k) for k in large]))
    if agreement < AGREEMENT:
        return whole
    tree.fit(table[told], labels[told])
    return _leaves(region, tree, table, names)


def _leaves(region: Region, tree: DecisionTreeClassifier, table: npt.NDArray[np.float64],
            names: list[str]) -> tuple[Part, ...]:
    """Leaves of the tree as parts; sibling leaves of one cause are put together again."""
    inner = tree.tree_

    def cause(node: int) -> int:
        return int(inner.value[node][0].argmax())

    def walk(node: int, above: tuple[Predicate, ...], rows: npt.NDArray[np.bool_]) -> list[tuple[int, Part]]:
        left, right = int(inner.children_left[node]), int(inner.children_right[node])
        if left < 0:
            return [(cause(node), Part(region, above, rows))]
        name, bound = names[inner.feature[node]], float(f"{inner.threshold[node]:.4g}")
        low: npt.NDArray[np.bool_] = table[:, inner.feature[node]] <= bound
        below = walk(left, (*above, Predicate(name, "<=", bound)), rows & low)
        beyond = walk(right, (*above, Predicate(name, ">", bound)), rows & ~low)
        if len(below) == len(beyond) == 1 and below[0][0] == beyond[0][0]:
            return [(below[0][0], Part(region, above, rows))]
        return below + beyond

    return tuple(part for _, part in walk(0, (), np.ones(len(table), dtype=bool)) if part.rows.any())
