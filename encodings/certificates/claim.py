"""A bounded claim: for every workload in a part of an input space, how far two costs are apart.

    den * (H - M) - num * M <= value      (relation "at-most")
    den * (H - M) - num * M >= value      (relation "at-least")

H is the policy's cost, M the benchmark's (another policy's, or the optimum), num / den = `relative`. With relative 0 it
bounds the gap in ticks; "at-most -1" with relative tau says that no workload has a gap of tau * M or more. All numbers
are integers, so that nothing is lost to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from drex_runtime.errors import LimitError
from xplain.encodings.certificates.features import Shape, Where
from xplain.encodings.certificates.workloads import shape_of
from xplain.encodings.gap import GapProblem, ReplayedGap

Bound = Literal["at-most", "at-least"]
Method = Literal["enumerate", "smt"]
Status = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True)
class Claim:
    """See the module. `grid`: ticks in which features count arrivals."""

    problem: GapProblem
    relation: Bound
    value: int
    where: Where = field(default_factory=Where)
    relative: Fraction = Fraction(0)
    grid: int = 1

    def __post_init__(self) -> None:
        if self.relative < 0:
            raise LimitError(f"a relative bound of {self.relative}: expected 0 or more")

    @property
    def shape(self) -> Shape:
        """Size of its workloads."""
        return shape_of(self.problem.space, self.grid)

    def measured(self, heuristic: int, benchmark: int) -> int:
        """What is compared with `value`."""
        return self.relative.denominator * (heuristic - benchmark) - self.relative.numerator * benchmark

    def violated(self, heuristic: int, benchmark: int) -> bool:
        """Whether a workload with these costs refutes it (if it belongs to `where`)."""
        measured = self.measured(heuristic, benchmark)
        return measured > self.value if self.relation == "at-most" else measured < self.value


@dataclass(frozen=True)
class Verdict:
    """What a method says of a claim. `witness`: replayed; refutes the claim, or (proved) comes closest to it."""

    status: Status
    method: Method
    solver: str
    version: str
    seconds: float
    witness: ReplayedGap | None = None
    detail: str = ""
