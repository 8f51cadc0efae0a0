"""A guard: parameter sets switched by region membership over rolling statistics, against the best single setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


@dataclass(frozen=True)
class GuardProposal:
    """`condition` over rolling observations (policy grammar text) under which `inside` replaces `outside`; it holds on
    above `enter` and lets go below `leave` (hysteresis). `gain`: mean relative improvement of the objective over the
    best single setting (`single`, from an exhaustive grid of `grid` settings) on `workloads` held-out workloads whose
    regime changes, with its 95 % interval; recommended only if `gain_low` > 0."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    region: str
    condition: str
    enter: str
    leave: str
    inside: dict[str, str]
    outside: dict[str, str]
    single: dict[str, str]
    grid: int
    workloads: int
    gain: float
    gain_low: float
    gain_high: float
    switches: float
    recommended: bool
    reason: str
