"""Which solver answers: the one asked for, or the best that is installed, with the reason in words."""

from __future__ import annotations

from xplain.encodings.solvers.cpsat import CpSatBackEnd
from xplain.encodings.solvers.gurobi import GurobiBackEnd
from xplain.encodings.solvers.highs import HighsBackEnd
from xplain.encodings.solvers.result import BackEnd, MissingSolverError, SolverName

BACK_ENDS: dict[SolverName, BackEnd] = {"cpsat": CpSatBackEnd(), "highs": HighsBackEnd(), "gurobi": GurobiBackEnd()}
REASONS: dict[SolverName, str] = {
    "cpsat": "its proofs are exact and its clause learning suits time-stepped models",
    "highs": "CP-SAT is not installed",
    "gurobi": "neither CP-SAT nor HiGHS is installed"}


def chosen(solver: SolverName) -> tuple[BackEnd, str]:
    """The back end and why. MissingSolverError, with what to install, if there is none."""
    if solver != "auto":
        missing = BACK_ENDS[solver].missing()
        if missing is not None:
            raise MissingSolverError(f"solver {solver}: {missing}")
        return BACK_ENDS[solver], f"{BACK_ENDS[solver].name} was asked for"
    lacking = []
    for name, back_end in BACK_ENDS.items():
        missing = back_end.missing()
        if missing is None:
            return back_end, f"{back_end.name} chosen: {REASONS[name]}"
        lacking.append(missing)
    raise MissingSolverError("no solver is installed: " + "; ".join(lacking))
