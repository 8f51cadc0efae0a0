"""The record of a generalisation (xplain-generalisation/1): instances, what was tested, what is claimed, in words.

Every claim here is statistical: about instances of one generator, found on some and confirmed on others. Loosened
conditions say themselves whether they are proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.records.files import read_record, write_record
from xplain.records import STRICT, Evidence, Predicate, Rate

SCHEMA = "xplain-generalisation/1"
Split = Literal["search", "held-out"]
Direction = Literal["increasing", "decreasing"]
ClaimKind = Literal["trend", "threshold", "only-where", "reversed", "stronger-where"]
Status = Literal["claimed", "in an interaction", "no effect found", "explained by others", "inseparable",
                 "not monotone", "not confirmed", "constant", "duplicate", "undefined"]


@dataclass(frozen=True)
class InstanceResult:
    """One instance. None stands for what is not defined."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    split: Split
    features: dict[str, float | None]
    response: float | None


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % confidence interval."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether the interval lies on one side of `value`."""
        return self.low > value or self.high < value


@dataclass(frozen=True)
class Claim:
    """A confirmed predicate over features.

    trend: the response is `direction` in `feature`. threshold: it is larger (increasing) or smaller where `feature` >
    `cut`, which lies in `cut_range` (95 %). only-where, reversed, stronger-where: it is `direction` in `feature` where
    `where` holds, and elsewhere not at all, the other way, or less so.
    `effect`: on held-out instances, other features held fixed, in units of the response: per unit of the feature, or
    (threshold) the step. `elsewhere`: the same outside `where`. `rank`: partial rank correlation on held-out instances.
    `p_search` is corrected (Holm) over everything tested, `p_held_out` over everything that was to be confirmed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: ClaimKind
    feature: str
    direction: Direction
    effect: Estimate
    rank: Estimate
    p_search: float
    p_held_out: float
    held_out: int
    sentence: str
    cut: float | None = None
    cut_range: tuple[float, float] | None = None
    where: Predicate | None = None
    elsewhere: Estimate | None = None
    same_as: tuple[str, ...] = ()
    evidence: Evidence = Evidence.STATISTICAL


@dataclass(frozen=True)
class FeatureNote:
    """What became of a feature. `alone`: its rank correlation with the response on held-out instances, nothing held
    fixed; `partial`: with the other features held fixed. `p_search`: the smallest of its own tests, corrected."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    feature: str
    meaning: str
    unit: str
    status: Status
    text: str
    alone: float | None = None
    partial: Estimate | None = None
    p_search: float | None = None


@dataclass(frozen=True)
class Checked:
    """What a verifier says of a conjunction. `holds`: None if it cannot tell. `evidence`: proved (every workload
    inside) or statistical (a sample of them). `rate`: of a sample P(bad | conjunction); of a proof the share of all
    workloads that fit."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    holds: bool | None
    evidence: Evidence
    text: str
    rate: Rate | None = None


@dataclass(frozen=True)
class Trial:
    """One looser conjunction that was tried: what was changed, and what the verifier said."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    change: str
    predicates: tuple[Predicate, ...]
    checked: Checked


@dataclass(frozen=True)
class Loosened:
    """A conjunction from which nothing more can be dropped or loosened, as far as verified; `final` says what of it
    was verified last. `predicates` is None if not even the start holds."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    start: tuple[Predicate, ...]
    predicates: tuple[Predicate, ...] | None
    final: Checked
    trials: tuple[Trial, ...]
    sentence: str


@dataclass(frozen=True)
class Generalisation:
    """Everything `generalise` found; `verdict` in one line, `limits` of what it means. `loosened`: descriptions of
    workloads that lose, of one configuration (see `loosen`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    family: str
    noun: str
    response: str
    unit: str
    seed: int
    level: float
    searched: int
    held_out: int
    tests: int
    claims: tuple[Claim, ...]
    features: tuple[FeatureNote, ...]
    verdict: str
    limits: tuple[str, ...]
    instances: tuple[InstanceResult, ...] = ()
    loosened: tuple[Loosened, ...] = ()


_ADAPTER = TypeAdapter(Generalisation)


def load_generalisation(path: Path) -> Generalisation:
    """Read one. InputError naming file, field, value."""
    return read_record(path, SCHEMA, _ADAPTER)


def save_generalisation(path: Path, found: Generalisation) -> None:
    """Write one atomically."""
    write_record(path, SCHEMA, found, _ADAPTER, keep_none=True)
