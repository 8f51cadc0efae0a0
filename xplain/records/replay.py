"""Predicted beside measured: workloads of a run on the real engine, current settings against tuned ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


@dataclass(frozen=True)
class MeasuredRatio:
    """Throughput tuned / current over interleaved rounds: median and its 95 % interval (order statistics)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class ReplayedWorkload:
    """One workload: makespans in ns, predicted by the profile and measured (median over rounds), of both settings.

    `origin`: which point of the analysis it is (a region's worst, held-out, a witness); `measured` compares the two on
    the engine, `predicted_ratio` is the simulator's. `policy`: that of the current settings.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    origin: str
    requests: int
    tokens: int
    current_predicted: int
    current_measured: int
    tuned_predicted: int | None
    tuned_measured: int | None
    predicted_ratio: float | None
    measured: MeasuredRatio | None
    involuntary_exits: int
    agrees: bool | None  # whether the measured interval lies on the predicted side of 1; None without tuned settings


@dataclass(frozen=True)
class ReplayReport:
    """What `xplain replay` measured, where and when. `same_machine`: whether the profile is of this device."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    date: str
    device: str
    model: str
    profile: str
    same_machine: bool
    rounds: int
    workloads: tuple[ReplayedWorkload, ...]
    limits: tuple[str, ...] = ()
