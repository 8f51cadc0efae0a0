"""What an operator is told per cause: what happens, in which traffic, what to set, when not to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT, Evidence


@dataclass(frozen=True)
class Advice:
    """One cause. `promql`: an expression over the engine's metrics that holds in the traffic meant by `traffic` (""
    where no series shows it; `undetectable` says why). `settings`: parameter -> value. `gain` with its 95 % interval,
    relative, over workloads of that traffic that tuning has not seen; `measured`: on the engine, in words, "" if not
    replayed."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    cause: str
    happens: str
    traffic: str
    promql: str
    undetectable: str
    settings: dict[str, str]
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    evidence: Evidence
    measured: str
    when_not: str
