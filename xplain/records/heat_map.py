"""What a heat map says: per edge, who uses it and how much more, over many samples. Stored; drawn elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT, Rate


@dataclass(frozen=True)
class Mean:
    """A mean over samples with its 95 % interval."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EdgeHeat:
    """One edge (tail, head), with numbers over the samples that have flows.

    `score`: the paper's, per sample +1 if only the benchmark uses the edge, -1 if only the heuristic, 0 if both or
    neither. The four shares sum to 1. `heuristic`, `benchmark`: mean amounts, in the problem's unit; `difference`:
    benchmark - heuristic. `differs`: share of samples in which the amounts differ; `must`: share of samples in which
    moreover every optimal flow differs from the heuristic's here (in the rest of `differs` it only may).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    tail: str
    head: str
    score: Mean
    both: Rate
    only_benchmark: Rate
    only_heuristic: Rate
    neither: Rate
    heuristic: float
    benchmark: float
    difference: Mean
    differs: Rate
    must: Rate

    @property
    def used(self) -> bool:
        """Whether anything ever flowed here."""
        return self.neither.of > 0 and self.neither.value < 1

    @property
    def strength(self) -> float:
        """How strongly the sides differ on it: |score|, then how often the amounts differ (below 1/1000)."""
        return abs(self.score.value) + self.differs.value / 1000


@dataclass(frozen=True)
class HeatMap:
    """Heat of every edge of a problem, in the problem's order.

    `samples`: points given; `infeasible`: those without flows (infeasible, or the benchmark was not proved), which no
    edge counts. `unit` of the amounts, `heuristic` and `benchmark` name the sides.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    edges: tuple[EdgeHeat, ...]
    samples: int
    infeasible: int
    heuristic: str = "heuristic"
    benchmark: str = "benchmark"
    unit: str = ""

    @property
    def counted(self) -> int:
        """Samples that have flows."""
        return self.samples - self.infeasible
