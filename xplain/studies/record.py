"""Records of a case study's analysis; `analysis.json` of such a run is exactly a `StudyAnalysis`.

Regions, rates, search traces, findings and provenance are the records of every analysis (`xplain.records`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records import STRICT, Dimension, Finding, HeatMap, Provenance, Rate, Region, SearchTrace
from xplain.regions.record import Linear, RegionEvidence, SizePoint, UnionScore


@dataclass(frozen=True)
class Subject:
    """What the problem is, in words, and how its numbers read.

    Objectives are kept as whole multiples of `resolution` `unit`s. `gap_unit`: gaps count in it; empty: they are shares
    of `gap_of`. `proof`: why the benchmark is surely what it says; empty: it is as computed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    heuristic: str
    benchmark: str
    objective: str = "cost"
    unit: str = ""
    resolution: float = 1.0
    gap_unit: str = ""
    gap_of: str = "the benchmark"
    distribution: str = ""
    infeasible: str = ""
    proof: str = ""


@dataclass(frozen=True)
class FlowRow:
    """Flow on one edge on both sides; `certain`: every optimal flow differs from the heuristic's there."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    tail: str
    head: str
    heuristic: float
    benchmark: float
    certain: bool


@dataclass(frozen=True)
class Change:
    """A dimension in which two inputs differ."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    dimension: str
    before: float
    after: float


@dataclass(frozen=True)
class InputWitness:
    """A simple input with at least the gap of the worst one found `where`, and the nearest one found without it.

    `heuristic`, `benchmark`: objectives (the benchmark's upper end). `contrast`: what to change in `point` so that the
    gap falls below the threshold, to `contrast_gap`; empty: no such input was found. `sample`: the worst input it came
    from. `flows`: both sides at `point`, edges that carry something; empty where a problem has no flows.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    where: str
    sample: int
    point: dict[str, float]
    heuristic: int
    benchmark: int
    gap: int
    relative_gap: float
    proved: bool
    evaluations: int
    contrast: tuple[Change, ...] = ()
    contrast_gap: float = 0.0
    flows: tuple[FlowRow, ...] = ()


@dataclass(frozen=True)
class RegionHeat:
    """Heat map over the bad inputs of a region, or of all inputs (`where`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    where: str
    heat: HeatMap


@dataclass(frozen=True)
class StudyAnalysis:
    """Everything one analysis of a case study found (schema xplain-study/1).

    `threshold` as relative gaps are counted (see `Subject`). `infeasible_share`: of fresh draws. `bad_share`: of fresh
    feasible ones. Every other rate is among feasible inputs as well. `evidence`, `unions`, `linear`, `sizes`: of
    the regions (see `xplain.regions.record`).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    subject: Subject
    settings: dict[str, str]
    threshold: float
    dimensions: tuple[Dimension, ...]
    provenance: Provenance
    traces: tuple[SearchTrace, ...]
    num_samples: dict[str, int]
    infeasible_share: Rate
    bad_share: Rate
    regions: tuple[Region, ...]
    witnesses: tuple[InputWitness, ...]
    findings: tuple[Finding, ...]
    verdict: str
    meanings: dict[str, tuple[str, str]] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    heat_maps: tuple[RegionHeat, ...] = ()
    evidence: tuple[RegionEvidence, ...] = ()
    unions: tuple[UnionScore, ...] = ()
    linear: tuple[Linear, ...] = ()
    sizes: tuple[SizePoint, ...] = ()
