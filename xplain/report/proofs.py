"""How far an exact method got, in words: what is proved, in which arithmetic, by what; or why it is a bound only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drex_runtime.records.ticks import Tick
from xplain.records import Evidence, WorstCase
from xplain.report.units import count, duration, percent

METHODS = {"enumerate": "enumeration", "lattice": "lattice MILP", "steps": "time-stepped MILP", "smt": "SMT"}
SOLVERS = {"highs": "HiGHS", "cpsat": "CP-SAT", "gurobi": "Gurobi", "z3": "Z3"}
STOPPED = {"time-limit": "stopped at its time limit", "infeasible": "called the model infeasible",
           "failed": "failed"}


@dataclass(frozen=True)
class ProofView:
    """A bounded space with its largest gap; `evidence` only for what integers prove."""

    case: WorstCase
    gap: str
    label: str
    evidence: Evidence | None


def proof_views(cases: Sequence[WorstCase], tick: Tick) -> Iterable[ProofView]:
    """All of them as the page shows them."""
    for case in cases:
        exact = case.proof == "exact" and case.upper is not None
        yield ProofView(case, gap_text(case, tick), label(case), Evidence.PROVED if exact else None)


def how(case: WorstCase) -> str:
    """Method and solver: "enumeration of 54,264 workloads", "lattice MILP by HiGHS"."""
    if case.method == "enumerate":
        return f"enumeration of {count(case.inputs)} workloads"
    solver = SOLVERS.get(case.solver, case.solver)
    return METHODS.get(case.method, case.method) + (f" by {solver}" if solver else "")


def label(case: WorstCase) -> str:
    """What kind of statement it is."""
    if case.proved:
        arithmetic = "exact integers" if case.proof == "exact" else "in floating point"
        return f"proved, {arithmetic}, {how(case)}"
    by_itself = case.method == "enumerate" or not case.solver
    who = METHODS.get(case.method, case.method) if by_itself else SOLVERS.get(case.solver, case.solver)
    kind = "no bound" if case.upper is None else "bound only"
    arithmetic = ", in floating point" if case.upper is not None and case.proof == "floating-point" else ""
    return f"{kind}{arithmetic}: {who} {STOPPED.get(case.stopped, case.stopped)}"


def gap_text(case: WorstCase, tick: Tick) -> str:
    """The largest gap: a value with its share of the optimum, or the interval that holds it."""
    if case.proved and case.lower is not None:
        share = "" if case.relative_gap is None else f" ({percent(case.relative_gap, signed=True)})"
        return f"{duration(case.lower, tick)}{share}"
    if case.upper is None:
        return "unknown" if case.lower is None else f"at least {duration(case.lower, tick)}"
    high = duration(case.upper, tick)
    return f"at most {high}" if case.lower is None else f"{duration(case.lower, tick)} to {high}"
