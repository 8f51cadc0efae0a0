"""What tuning proposes and what that does on held-out workloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


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

    Relative gaps as fractions; `worst_*` = largest over the slice; `ratio_*` = throughput over `no-exit`'s (means over
    points), `minimum_ratio_*` the least anywhere, measured over workloads of one point that make up at least 400 tokens
    per place; as the least of many short runs is noise, points that seem to fall short are measured again with the
    tuned settings on others that make up 2000 (`short_run_minimum`: the least before that). `workloads`: all that ran.
    `after_*` and `change_*`: 95 % intervals of the mean after, and of the mean paired change (after - before; None in
    records from before they were kept).
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
    minimum_ratio_before: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    short_run_minimum: float | None = None


@dataclass(frozen=True)
class FrontPoint:
    """A setting that no other one tried beats in both `mean` and `tail` (CVaR) of the relative gap on the training
    workloads, of those that keep the floor. `chosen`: the one that was checked on held-out workloads; it may lie a
    little behind the front where that changes fewer values. `minimum_ratio`: least throughput over `no-exit`'s on any
    training workload."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    settings: tuple[Setting, ...]
    mean: float
    tail: float
    chosen: bool
    minimum_ratio: float = 1.0


@dataclass(frozen=True)
class NamedParameters:
    """Parameters that the causes of a cluster (or of a region) name, and what searching them gave.

    `source`: the cluster or region; `cause`: in words; `tried`: settings tried for it; `before`, `after`: best score on
    the training workloads before and after (see `Tuning.objective`; None while no setting tried kept the floor).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    source: str
    cause: str
    parameters: tuple[str, ...]
    tried: int
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Tuning:
    """Proposed settings, why these parameters, what they do on held-out workloads, and what searching cost.

    `recovered` = share of the tuning gap recovered on held-out workloads, (before - after) / (before - best), best: the
    better of the tuned setting and of one found by an independent search (`recovery` says how large); None where there
    is no tuning gap to recover or no such search was made. `named`: parameters by cluster; `objective`, `choice`: what
    was minimised, and why this point of the `front`. `floor`: of `no-exit`'s throughput at equal N, a constraint;
    `below_floor`: settings left out by it. `training`: workloads by kind.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    settings: tuple[Setting, ...]
    searched: tuple[str, ...]
    evaluations: int
    comparisons: tuple[Comparison, ...]
    accepted: bool
    reason: str
    front: tuple[FrontPoint, ...] = ()
    recovered: float | None = None
    certificate: str = ""  # what a no-regression certificate says, "" if none was asked for
    named: tuple[NamedParameters, ...] = ()
    objective: str = ""
    choice: str = ""
    recovery: str = ""
    floor: float = 0.98
    below_floor: int = 0
    training: dict[str, int] = field(default_factory=dict)
