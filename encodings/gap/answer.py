"""What a gap method answers: a replayed witness, a bound, why it stopped, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xplain.encodings.gap.problem import ReplayedGap

Stopped = Literal["proved", "reached", "time-limit", "infeasible", "failed"]
Proof = Literal["exact", "floating-point"]
Method = Literal["enumerate", "lattice", "steps", "smt", "random", "hill-climbing", "annealing", "tpe", "cma-es"]


@dataclass(frozen=True)
class Progress:
    """Best gap known (None: none yet) and upper bound (None: none) after `seconds`."""

    seconds: float
    lower: int | None
    upper: int | None


@dataclass(frozen=True)
class GapAnswer:
    """The largest gap lies in `lower`..`upper` ticks.

    `witness`: the workload with gap `lower`, replayed by simulator and exact search (None: none found). `upper` None:
    nothing is proved. `proof`: how far the bound can be trusted: enumeration, SMT and CP-SAT reason in integers, HiGHS
    in floating point. `stopped`: "proved" only if lower = upper; "reached": a gap of the asked size was found and no
    larger one looked for; "infeasible": no workload qualifies (of the asked size, if one was asked). `detail`: why this
    method, what was cut short and by what.
    """

    method: Method
    solver: str
    stopped: Stopped
    witness: ReplayedGap | None
    upper: int | None
    proof: Proof | None
    seconds: float
    detail: str = ""
    progress: tuple[Progress, ...] = ()
    log: str = ""

    @property
    def lower(self) -> int | None:
        """Gap of the witness."""
        return None if self.witness is None else self.witness.gap

    @property
    def proved(self) -> bool:
        """Whether witness and bound meet."""
        return self.stopped == "proved"
