"""Why a run lost: regret by cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


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
