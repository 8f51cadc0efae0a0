"""What tuning proposes and what that does on held-out workloads."""

from __future__ import annotations

from dataclasses import dataclass
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
class FrontPoint:
    """A setting that no other one tried beats in both `mean` and `tail` (CVaR) of the relative regret on the training
    workloads. `chosen`: the one that was checked on held-out workloads."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    settings: tuple[Setting, ...]
    mean: float
    tail: float
    chosen: bool


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
    front: tuple[FrontPoint, ...] = ()
    recovered: float | None = None
    certificate: str = ""  # what a no-regression certificate says, "" if none was asked for
