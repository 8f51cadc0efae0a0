"""What an analysis of a policy found, and how to reproduce it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from xplain.records.accounting import Accounting
from xplain.records.basic import STRICT, Dimension, Evidence, Rate, SearchTrace
from xplain.records.cause import Attribution
from xplain.records.cluster import Cluster
from xplain.records.guard import GuardProposal
from xplain.records.guidance import Advice
from xplain.records.heat_map import HeatMap
from xplain.records.interval import GapInterval
from xplain.records.region import Region
from xplain.records.replay import ReplayReport
from xplain.records.schedule import Witness, WorstCase
from xplain.records.tuning import Tuning


@dataclass(frozen=True)
class Finding:
    """A ranked statement for the operator. `severity`: loss | none | unknown."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    severity: Literal["loss", "none", "unknown"]
    title: str
    where: str
    cost: str
    why: str
    attempt: str
    verify: str
    evidence: Evidence


@dataclass(frozen=True)
class Resources:
    """Equal for every policy compared: the meaning of `batch_max` and `max_num_seqs` is the scheduling model's."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    max_num_seqs: int
    batch_max: int


@dataclass(frozen=True)
class Provenance:
    """How to reproduce: command, seed, versions, profile, date, machine."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    command: str
    seed: int
    date: str
    versions: dict[str, str]
    profile: str
    profile_origin: str
    device: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Analysis:
    """Everything one `xplain analyze` found; `analysis.json` is exactly this (schema xplain-analysis/1)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    subject: str
    settings: dict[str, str]
    policy_table: tuple[str, ...]
    benchmarks: tuple[str, ...]
    objective: str
    tick: str
    threshold: float
    resources: Resources
    dimensions: tuple[Dimension, ...]
    provenance: Provenance
    traces: tuple[SearchTrace, ...]
    num_samples: dict[str, int]
    bad_share: dict[str, Rate]
    regions: tuple[Region, ...]
    attributions: tuple[Attribution, ...]
    witnesses: tuple[Witness, ...]
    tuning: Tuning | None
    findings: tuple[Finding, ...]
    verdict: str
    limits: tuple[str, ...] = ()
    worst_cases: tuple[WorstCase, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    heat_map: HeatMap | None = None
    accounting: tuple[Accounting, ...] = ()
    gap_intervals: tuple[GapInterval, ...] = ()
    guards: tuple[GuardProposal, ...] = ()
    advice: tuple[Advice, ...] = ()
    replay: ReplayReport | None = None
