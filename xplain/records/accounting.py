"""Where the place-time of runs went: N x duration, partitioned to the tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT, Evidence


@dataclass(frozen=True)
class AccountingLine:
    """One category (a field of `drex_runtime.simulator.accounting.PlaceTime`), in place-ticks of each side."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    category: str
    heuristic: int
    benchmark: int


@dataclass(frozen=True)
class Accounting:
    """The same workloads under both policies; the lines of each side sum to N x its duration (`heuristic_total`,
    `benchmark_total`), exactly. `slice`: "whole space" or a region's name; `tokens`: emitted, equal on both sides."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    slice: str
    benchmark: str
    workloads: int
    tokens: int
    heuristic_total: int
    benchmark_total: int
    lines: tuple[AccountingLine, ...]
    evidence: Evidence = Evidence.SIMULATED
