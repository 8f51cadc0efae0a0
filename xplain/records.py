"""The records that flow through the analysis: Space -> Samples -> Regions -> Causes -> Tuning -> Analysis.

Immutable and serialisable, so that every stage is a function from record to record and can be rerun alone from
the run folder. Times are integer ticks of the profile. Every number a report prints carries an evidence label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid")
Point = Mapping[str, float]
Scale = Literal["operating", "exact"]  # a case study's own inputs are of exact scale
Origin = Literal["random", "hill-climbing", "annealing", "tpe", "cma-es", "held-out"]
ProofMethod = Literal["auto", "enumerate", "milp", "smt", "blackbox"]
ProofSolver = Literal["auto", "highs", "cpsat", "gurobi"]
UNBIASED: frozenset[Origin] = frozenset(("random", "held-out"))  # drawn from the declared distribution


class Evidence(StrEnum):
    """What kind of claim a number is."""

    PROVED = "proved"
    STATISTICAL = "statistical"
    MEASURED = "measured"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Dimension:
    """One dimension of an input space; `log` draws it log-uniformly, integers are drawn with both ends included."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    low: float
    high: float
    integer: bool = False
    log: bool = False
    unit: str = ""
    meaning: str = ""

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return self.low == self.high


@dataclass(frozen=True)
class Sample:
    """One evaluated input. `heuristic` and `benchmarks` are objectives in ticks (operating scale: summed over seeds).

    The benchmark lies in [lower, upper] (one value unless a search ran into its limit); `benchmarks` holds the
    single policies it was chosen from. `point` has the input space's dimensions, `features` what regions are read
    over (superset of the point). `per`: what a gap is divided by (0: the benchmark; a problem whose benchmark may be
    0, or whose gap is meant in units, states a constant).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    index: int
    scale: Scale
    origin: Origin
    point: dict[str, float]
    features: dict[str, float]
    heuristic: int
    lower: int
    upper: int
    benchmarks: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    per: int = 0

    @property
    def gap(self) -> int:
        """Gap that is certain: heuristic - upper end of the benchmark."""
        return self.heuristic - self.upper

    @property
    def relative_gap(self) -> float:
        """gap / `per`, by default gap / upper."""
        by = self.per or self.upper
        return self.gap / by if by else 0.0

    @property
    def proved(self) -> bool:
        """Whether the benchmark is one proved value."""
        return self.lower == self.upper

    @property
    def unbiased(self) -> bool:
        """Whether it was drawn from the declared distribution; the others were sought for their gap."""
        return self.origin in UNBIASED


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
class Rate:
    """A share with its 95 % interval; `of` = how many samples it was counted over."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    value: float
    low: float
    high: float
    of: int


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


@dataclass(frozen=True)
class Cause:
    """Regret blamed on a rule. kind: `fired` (it fired although something below it was better), `missed` (it should
    have fired, `atom` was false), `batch_limit` (more rows would have been better), `order` (other rows would have),
    `consult`, `join`. `ticks` sums to the gap over all causes of a run; `share` = ticks / that gap.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: str
    rule: str
    atom: str
    parameters: tuple[str, ...]
    ticks: int
    count: int
    share: float
    example: str = ""


@dataclass(frozen=True)
class Attribution:
    """The gap of one run split over causes, exactly: sum of `causes.ticks` == `gap` (an identity, checked).

    `reference`: clairvoyant (every term >= 0) or policy:NAME (terms may be negative). `exact` is False where some
    V* was only an interval: then `causes` are computed with upper ends and `uncertainty` is the widest interval.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sample: int
    region: str
    reference: str
    gap: int
    causes: tuple[Cause, ...]
    exact: bool
    uncertainty: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Setting:
    """A value proposed for a parameter, an exact decimal or quotient in text form."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    current: str
    proposed: str


@dataclass(frozen=True)
class Comparison:
    """Held-out means of one slice of workloads, objective in ticks relative to the benchmark, before and after.

    Relative gaps as fractions; `worst_*` = largest over the slice; `ratio_*` = throughput over `no-exit`'s (means).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    slice: str
    workloads: int
    before: float
    after: float
    after_low: float
    after_high: float
    worst_before: float
    worst_after: float
    ratio_before: float
    ratio_after: float
    minimum_ratio_after: float


@dataclass(frozen=True)
class Tuning:
    """Proposed settings, why these parameters, what they do on held-out workloads, and what searching cost.

    `recovered` = share of the tuning gap recovered on held-out workloads, (before - after) / (before - best found
    by the tuner's own full-space search), None where there is no tuning gap to recover.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    settings: tuple[Setting, ...]
    searched: tuple[str, ...]
    evaluations: int
    comparisons: tuple[Comparison, ...]
    accepted: bool
    reason: str


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
class Bar:
    """A stretch of a timeline. kind: segment, ramp, start, rebatch, fill, prefill, idle; rows = request numbers."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    start: int
    end: int
    kind: str
    segment: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Timeline:
    """A run as bars on the device; `exits` and `parks` are (clock, request, segment); `completed` per request."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    title: str
    bars: tuple[Bar, ...]
    exits: tuple[tuple[int, int, int], ...]
    parks: tuple[tuple[int, int, int], ...]
    completed: tuple[int, ...]
    objective: int


@dataclass(frozen=True)
class Witness:
    """A small workload on which the heuristic loses: both schedules, the first costly decision, its counterfactual."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sample: int
    arrivals: tuple[int, ...]
    prompts: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    heuristic: Timeline
    optimum: Timeline
    gap: int
    relative_gap: float
    proved: bool
    first_costly: str
    counterfactual: str


@dataclass(frozen=True)
class SearchTrace:
    """How one search method did. `evaluations`, `seconds`: its own.

    `improvements`: whenever its best improved, (seconds, evaluations, best relative gap), both counted over all methods
    since the search began, so that the curves of a portfolio share their axes. A method that starts from the incumbents
    of others has theirs as its first entry.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    method: str
    scale: Scale
    evaluations: int
    seconds: float
    best: float
    improvements: tuple[tuple[float, int, float], ...]


@dataclass(frozen=True)
class WorstCase:
    """What an exact method says of the largest gap over *all* workloads of a bounded space, in ticks.

    The largest gap lies in `lower`..`upper`: `lower` is the gap of a replayed workload (`arrivals`, `depths`; both
    empty: none found), `upper` None means that nothing is proved. `proof`: `exact` (integers) or `floating-point`, how
    far `upper` can be trusted. `inputs`: workloads in the space, those equal but for names counted once. `stopped`:
    "proved" only if the two meet, else why not. `progress`: (seconds, lower, upper).
    Source: `encodings.gap.GapAnswer`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    space: str
    requests: int
    tokens: int
    open_arrivals: bool
    inputs: int
    method: str
    solver: str
    stopped: str
    proof: Literal["exact", "floating-point"] | None
    lower: int | None
    upper: int | None
    heuristic: int | None
    benchmark: int | None
    arrivals: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    seconds: float
    detail: str = ""
    progress: tuple[tuple[float, int | None, int | None], ...] = ()

    @property
    def proved(self) -> bool:
        """Whether witness and bound meet."""
        return self.stopped == "proved"

    @property
    def relative_gap(self) -> float | None:
        """lower / the benchmark of the same workload."""
        return self.lower / self.benchmark if self.lower is not None and self.benchmark else None


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
