"""Shallow regression trees propose boxes: every leaf's path is a conjunction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.tree import BaseDecisionTree, DecisionTreeRegressor

from xplain.regions.box import Box
from xplain.regions.table import Floats, Table

MAX_DEPTH = 5


def leaves(table: Table, threshold: float, seed: int, features: Sequence[int]) -> list[Box]:
    """Leaves of two trees over some of the features: on the gap, and on whether it is bad.

    The gap is clipped to three thresholds either way, so that one catastrophic input does not spend the splits.
    """
    smallest = max(5, len(table) // 100)
    targets = (np.clip(table.gaps, -3 * threshold, 3 * threshold), table.bad.astype(np.float64))
    found: dict[Box, None] = {}
    for target in targets:
        tree = DecisionTreeRegressor(max_depth=MAX_DEPTH, min_samples_leaf=smallest, random_state=seed)
        tree.fit(table.values[:, features], target, sample_weight=table.weights)
        found.update(dict.fromkeys(paths(tree, len(features))))
    return [_spread(box, features, len(table.names)) for box in found]


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
