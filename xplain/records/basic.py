"""Inputs and their evaluation: dimensions, samples, what kind of claim a number is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid")
Point = Mapping[str, float]
Scale = Literal["operating", "exact"]  # a case study's own inputs are of exact scale
Origin = Literal["random", "hill-climbing", "annealing", "tpe", "cma-es", "held-out", "outside"]  # of known regions
UNBIASED: frozenset[Origin] = frozenset(("random", "held-out"))  # drawn from the declared distribution
INFEASIBLE_GAP = -1.0  # what a search sees of an infeasible input: worse than any that loses nothing


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
    0, or whose gap is meant in units, states a constant). `feasible`: False where the heuristic or the benchmark has no
    answer; such inputs are counted, and left out of every rate, region and witness.
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
    feasible: bool = True

    @property
    def gap(self) -> int:
        """Gap that is certain: heuristic - upper end of the benchmark."""
        return self.heuristic - self.upper

    @property
    def relative_gap(self) -> float:
        """gap / `per`, by default gap / upper."""
        if not self.feasible:
            return INFEASIBLE_GAP
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
class Rate:
    """A share with its 95 % interval; `of` = how many samples it was counted over."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    value: float
    low: float
    high: float
    of: int


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
