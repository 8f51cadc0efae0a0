"""Shallow regression trees propose boxes: every leaf's path is a conjunction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn.tree import BaseDecisionTree, DecisionTreeRegressor

from xplain.regions.box import Box, between
from xplain.regions.table import Floats, Table

MAX_DEPTH = 5


def leaves(table: Table, threshold: float, seed: int, features: Sequence[int]) -> list[Box]:
    """Leaves of two trees over some of the features: on the gap, and on whether it is bad.

    The gap is clipped to three thresholds either way, so that one catastrophic input does not spend the splits.
    """
    targets = (np.clip(table.gaps, -3 * threshold, 3 * threshold), table.bad.astype(np.float64))
    found: dict[Box, None] = {}
    for target in targets:
        found.update(dict.fromkeys(fitted(table.values[:, features], target, table.weights, seed)))
    return [_spread(box, features, len(table.names)) for box in found]


def fitted(values: Floats, target: Floats, weights: Floats, seed: int) -> list[Box]:
    """The box of every leaf of a tree fitted to `target`.

    It is fitted to ranks: scikit-learn compares in single precision, where close values fall together and large ones
    overflow.
    """
    smallest = max(5, len(values) // 100)
    columns = [np.unique(column, return_inverse=True) for column in values.T]
    ranks = np.column_stack([inverse for _, inverse in columns]).astype(np.float32)
    tree = DecisionTreeRegressor(max_depth=MAX_DEPTH, min_samples_leaf=smallest, random_state=seed)
    tree.fit(ranks, target, sample_weight=weights)
    distinct = [unique for unique, _ in columns]

    def bounds(ends: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(end if math.isinf(end) else between(unique[int(end)], unique[int(end) + 1])
                     for unique, end in zip(distinct, ends, strict=True))

    return [Box(bounds(box.lows), bounds(box.highs)) for box in paths(tree, len(columns))]


def _spread(box: Box, features: Sequence[int], of: int) -> Box:
    """A box over some features as one over all of them."""
    wide = Box.everything(of)
    for k, low, high in zip(features, box.lows, box.highs, strict=True):
        wide = wide.with_bound(k, "low", low).with_bound(k, "high", high)
    return wide


def paths(tree: BaseDecisionTree, features: int) -> list[Box]:
    """The box of every leaf."""
    left: Floats = tree.tree_.children_left
    right: Floats = tree.tree_.children_right
    found: list[Box] = []
    stack = [(0, Box.everything(features))]
    while stack:
        node, box = stack.pop()
        if left[node] == right[node]:
            found.append(box)
            continue
        feature, bound = int(tree.tree_.feature[node]), float(tree.tree_.threshold[node])
        stack.append((int(left[node]), box.with_bound(feature, "high", min(box.highs[feature], bound))))
        stack.append((int(right[node]), box.with_bound(feature, "low", max(box.lows[feature], bound))))
    return found
