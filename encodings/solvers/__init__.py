"""The solver seam: HiGHS, CP-SAT or Gurobi asked the same way, their answers verified in integers."""

from xplain.encodings.solvers.result import (
    MissingSolverError,
    SolverMismatchError,
    SolverName,
    SolverProgress,
    SolverResult,
)
from xplain.encodings.solvers.seam import solve

__all__ = ["MissingSolverError", "SolverMismatchError", "SolverName", "SolverProgress", "SolverResult", "solve"]
