"""Regions for certificates, read off a survey: where every workload loses, and what is left to complete a union.

A statistical region holds mostly bad workloads; a certificate needs all of them, or needs nothing bad outside. Trees
over the certifiable features propose boxes; what is kept is checked on every workload, and proved afterwards anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from xplain.certify.record import NamedRegion
from xplain.encodings.certificates.counted import Mask
from xplain.encodings.certificates.survey import Survey
from xplain.problems.exact_features import FEATURES
from xplain.regions.box import Box
from xplain.regions.table import Floats
from xplain.regions.tree import paths

LEAVES = 16
NAMES = tuple(FEATURES)


def feature_values(survey: Survey, grid: int) -> Floats:
    """[workload, feature] of the whole space."""
    counted = survey.counted(grid)
    return np.column_stack([counted.values(feature) for feature in FEATURES.values()])


def losing(values: Floats, loses: Mask, most: int, prefix: str, seed: int) -> list[NamedRegion]:
    """At most `most` boxes in which every workload loses, the largest first, each of workloads not held before."""
    found, left = list[Box](), np.ones(len(values), np.bool_)
    candidates = [box for box in _leaves(values, loses, seed) if _all(loses, box.inside(values))]
    candidates = [_simplified(box, lambda other: _all(loses, other.inside(values))) for box in candidates]
    for _ in range(most):
        sizes = [int((box.inside(values) & left).sum()) for box in candidates]
        if not sizes or not max(sizes):
            break
        box = candidates[int(np.argmax(sizes))]
        found.append(box)
        left &= ~box.inside(values)
    return _named(found, prefix)


def completing(values: Floats, bad: Mask, prefix: str, seed: int) -> list[NamedRegion]:
    """Boxes that hold every bad workload, and few others."""
    if not bad.any():
        return []
    boxes = [box for box in _leaves(values, bad, seed) if (box.inside(values) & bad).any()]

    def held(box: Box) -> int:
        return int((box.inside(values) & ~bad).sum())

    return _named([_simplified(box, lambda other, most=held(box): held(other) <= most) for box in boxes], prefix)


def _leaves(values: Floats, positive: Mask, seed: int) -> list[Box]:
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, class_weight="balanced", random_state=seed)
    tree.fit(values, positive)
    return paths(tree, values.shape[1])


def _simplified(box: Box, keeps: Callable[[Box], bool]) -> Box:
    """Without predicates that are not needed."""
    while True:
        shorter = next((other for other in box.drops() if keeps(other)), None)
        if shorter is None:
            return box
        box = shorter


def _all(mask: Mask, inside: Mask) -> bool:
    return bool(inside.any()) and bool(mask[inside].all())


def _named(boxes: Sequence[Box], prefix: str) -> list[NamedRegion]:
    unique = dict.fromkeys(boxes)
    return [NamedRegion(f"{prefix}{k}", box.predicates(NAMES)) for k, box in enumerate(unique, start=1)]
