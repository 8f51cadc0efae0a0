"""What is known of regions beyond `xplain.records.Region`: derived features, evidence, trade-offs, unions.

Immutable and serialisable like the other records. Rates are shares of fresh samples of the declared distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from xplain.records import STRICT, Point, Predicate, Rate, Region

Method = Literal["refine", "slices"]


@dataclass(frozen=True)
class Linear:
    """A derived feature: the sum of coefficient * feature over `terms`; its name reads as the sum, "a + b - 2 c"."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    terms: tuple[tuple[str, float], ...]

    def value(self, features: Point) -> float:
        """Its value; terms are added in order, so that every computation of it gives the same float."""
        total = 0.0
        for name, coefficient in self.terms:
            total += coefficient * features[name]
        return total


@dataclass(frozen=True)
class Excluded:
    """A feature that no region can be over, and why."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    feature: str
    reason: str


@dataclass(frozen=True)
class TradeOff:
    """A point of a region's trade-off curve: the box found when precision `target` was aimed at instead."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    target: float
    predicates: tuple[Predicate, ...]
    precision: Rate
    coverage: Rate


@dataclass(frozen=True)
class RegionEvidence:
    """Why a region is stated as it is, and how it was tested. `region`: its name.

    `target`: the precision aimed at. `floor`: what its predicates are needed for: the share of bad search samples (of
    those that no earlier region holds) is at least `floor` inside, and without the k-th predicate it is `without`[k],
    which is less. `p_value` before the correction (the region has the corrected one); `effect` = mean difference of
    relative gap to the partners outside; `unpaired` = share of the fresh samples inside that have no partner.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    region: str
    method: str
    target: float
    floor: float
    without: tuple[float, ...]
    p_value: float
    effect: float
    pairs: int
    unpaired: Rate
    curve: tuple[TradeOff, ...] = ()


@dataclass(frozen=True)
class UnionScore:
    """The first `regions` regions together: P(bad | in some), P(in some | bad), P(in some)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    regions: int
    precision: Rate
    coverage: Rate
    share: Rate


@dataclass(frozen=True)
class SizePoint:
    """The best set of regions that was found with so many `predicates` in all: one conjunction per region (an empty one
    is everything). Chosen on the samples of the search by F1; `precision` and `coverage` of the union are those of
    fresh samples. `reported`: it is the set of regions that is reported, which may be larger than all others."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    predicates: int
    regions: tuple[tuple[Predicate, ...], ...]
    precision: Rate
    coverage: Rate
    reported: bool = False

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and coverage."""
        total = self.precision.value + self.coverage.value
        return 2 * self.precision.value * self.coverage.value / total if total else 0.0


@dataclass(frozen=True)
class RegionSearch:
    """Everything a search for regions found. `regions` and `evidence` in the same order; `unions` over the significant
    ones, the first alone, the first two, ... `linear`: derived features that some region is over. `evaluations`: inputs
    evaluated by the search itself (beyond the samples it was given). `statement`: the outcome in words. `sizes`: what
    can be said with fewer predicates or more, each point better than all shorter ones (empty unless asked for).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    regions: tuple[Region, ...]
    evidence: tuple[RegionEvidence, ...]
    unions: tuple[UnionScore, ...]
    linear: tuple[Linear, ...]
    excluded: tuple[Excluded, ...]
    evaluations: int
    statement: str
    sizes: tuple[SizePoint, ...] = ()
