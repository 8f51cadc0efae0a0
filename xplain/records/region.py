"""Regions of the input space: predicates and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from xplain.records.basic import STRICT, Point, Rate, Scale


@dataclass(frozen=True)
class Predicate:
    """`feature <= bound` or `feature > bound`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    feature: str
    relation: Literal["<=", ">"]
    bound: float

    def holds(self, features: Point) -> bool:
        """Whether it holds."""
        value = features[self.feature]
        return value <= self.bound if self.relation == "<=" else value > self.bound


@dataclass(frozen=True)
class Region:
    """A conjunction of predicates under which the heuristic loses, scored on held-out samples.

    precision = P(bad | region), coverage = P(region | bad), share = P(region), under the declared distribution.
    `mean_gap` relative, over held-out samples inside. `worst` = index of the worst sample found inside.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    scale: Scale
    predicates: tuple[Predicate, ...]
    sentence: str
    precision: Rate
    coverage: Rate
    share: Rate
    mean_gap: float
    p_value: float
    significant: bool
    worst: int

    def holds(self, features: Point) -> bool:
        """Whether an input lies in the region."""
        return all(predicate.holds(features) for predicate in self.predicates)
