"""What a solver is asked and what it answers: why it stopped, the point, the bound, and how far both can be trusted."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from drex_runtime.errors import DrexError
from xplain.encodings.solvers.linear import Linear

SolverName = Literal["auto", "highs", "cpsat", "gurobi"]
Stopped = Literal["optimal", "infeasible", "time-limit", "failed"]
Proof = Literal["exact", "floating-point"]


class MissingSolverError(DrexError):
    """A solver was asked for by name that this installation does not have; the message says what to install."""


class SolverMismatchError(DrexError):
    """A solver's answer does not hold when the terms are evaluated in integers: a defect, or numbers too large."""

    exit_code = 70  # EX_SOFTWARE


@dataclass(frozen=True)
class SolverProgress:
    """After `seconds`: the best verified objective value (None: none yet) with its assignment by variable name, and
    the proved bound (None: none yet)."""

    seconds: float
    incumbent: int | None
    bound: int | None
    values: Mapping[str, int] | None


@dataclass(frozen=True)
class SolverResult:
    """`incumbent`: objective value of `values`, evaluated in integers (0 for a feasibility question).

    `stopped` is "optimal" only if `incumbent` and `bound` meet; "infeasible" is a proof like a bound; "time-limit" and
    "failed" leave whatever was found until then. `proof`: "exact" for integer reasoning, "floating-point" for a solver
    that decides with tolerances, None where nothing is proved. `solver`: name and version. `detail`: why this solver,
    what was cut short and by what. `log`: path of the solver's own log, "" if none was kept.
    """

    stopped: Stopped
    incumbent: int | None
    bound: int | None
    values: Mapping[str, int] | None
    seconds: float
    solver: str
    proof: Proof | None
    detail: str = ""
    log: str = ""
    progress: tuple[SolverProgress, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Order:
    """What a back end may spend. `seconds` None: no limit; `threads` None: all cores; `log`: where its log goes.
    `tight`: the linear relaxation bounds well (flows in a network), so that it pays to solve it often."""

    seconds: float | None
    seed: int
    threads: int | None
    log: Path | None
    tight: bool = False


@dataclass(frozen=True)
class Seen:
    """A back end reports a point (the terms' variables, rounded) or a bound (rounded away from the optimum)."""

    point: Mapping[str, int] | None = None
    bound: int | None = None


@dataclass(frozen=True)
class Ended:
    """A back end's last word."""

    stopped: Stopped
    bound: int | None = None
    detail: str = ""


class BackEnd(Protocol):
    """One solver. `proof`: how far its proofs can be trusted."""

    name: str
    proof: Proof

    def missing(self) -> str | None:
        """Why it cannot be used here and what to install; None if it can."""

    def version(self) -> str:
        """Of the solver."""

    def run(self, linear: Linear, order: Order) -> Generator[Seen | Ended, None, None]:
        """Solve; an `Ended` comes last. Closing the iterator ends the solver."""
