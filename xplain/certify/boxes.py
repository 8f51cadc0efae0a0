"""Regions for certificates, read off a survey: where every workload loses, and what is left to complete a union.

A statistical region holds mostly bad workloads; a certificate needs all of them, or needs nothing bad outside. What
is proposed here is proved afterwards like any claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from xplain.certify.implicants import grown_boxes
from xplain.certify.record import NamedRegion
from xplain.encodings.certificates.counted import Ints, Mask
from xplain.encodings.certificates.survey import Survey
from xplain.problems.exact_features import FEATURES, feature_named, members
from xplain.regions.box import Box
from xplain.regions.table import Floats
from xplain.regions.tree import paths

LEAVES = 8


@dataclass(frozen=True)
class Values:
    """`table` [workload, feature] of the whole space, or of a part of it."""

    names: tuple[str, ...]
    table: Floats

    def where(self, rows: Mask) -> Values:
        """Some of the workloads."""
        return Values(self.names, self.table[rows])


def feature_values(survey: Survey, grid: int, *, single: bool = False) -> Values:
    """Features of whole workloads; with `single` those of single requests and tokens too."""
    counted = survey.counted(grid)
    names = (*FEATURES, *(members(counted.shape) if single else ()))
    features = [feature for feature in (feature_named(name, counted.shape) for name in names) if feature is not None]
    return Values(names, np.column_stack([counted.values(feature) for feature in features]))


def losing(values: Values, gaps: Ints, most: int, prefix: str, seed: int) -> list[NamedRegion]:
    """At most `most` boxes in which every workload has a gap above 0 (see `implicants`)."""
    single = np.array([name not in FEATURES for name in values.names])
    return _named(grown_boxes(values.table, gaps, single, most, seed), values.names, prefix)


def completing(values: Values, bad: Mask, prefix: str, seed: int) -> list[NamedRegion]:
    """Boxes that hold every bad workload, and few others."""
    if not bad.any():
        return []
    table = values.table
    boxes = [box for box in _leaves(table, bad, seed) if (box.inside(table) & bad).any()]
    return _named([_no_larger(box, table, ~bad) for box in boxes], values.names, prefix)


def _no_larger(box: Box, table: Floats, others: Mask) -> Box:
    """With as few predicates as hold no more of `others`."""
    def held(candidate: Box) -> int:
        return int((candidate.inside(table) & others).sum())

    most = held(box)
    return _simplified(box, lambda candidate: held(candidate) <= most)


def _leaves(table: Floats, positive: Mask, seed: int) -> list[Box]:
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, class_weight="balanced", random_state=seed)
    tree.fit(table, positive)
    return paths(tree, table.shape[1])


def _simplified(box: Box, keeps: Callable[[Box], bool]) -> Box:
    """Without predicates that are not needed."""
    while True:
        shorter = next((other for other in box.drops() if keeps(other)), None)
        if shorter is None:
            return box
        box = shorter


def _named(boxes: Sequence[Box], names: tuple[str, ...], prefix: str) -> list[NamedRegion]:
    unique = dict.fromkeys(boxes)
    return [NamedRegion(f"{prefix}{k}", box.predicates(names)) for k, box in enumerate(unique, start=1)]
