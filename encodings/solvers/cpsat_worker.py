"""Process that solves one MPS file of integers with CP-SAT. Run by `cpsat`; imports nothing of this package.

    cpsat_worker.py MODEL.mps [--seconds S] [--threads T] [--seed N] [--log FILE] [--tight]

JSON lines on standard output: {"kind": "incumbent", "values": {column: value}} for columns named v<column>,
{"kind": "bound", "bound": b} whenever the bound moves, and last {"kind": "end", "status", "bound", "why"}; always
minimising, without the file's offset. Limits in seconds from the process's start.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from math import ceil
from pathlib import Path
from typing import Any

from ortools.linear_solver.python import model_builder
from ortools.sat.python import cp_model

BEGAN = time.perf_counter()
PROVERS = ("default_lp", "no_lp", "reduced_costs", "quick_restart", "max_lp", "pseudo_costs", "core")
# Where the linear relaxation is tight: a program of 3,900 columns took 3 to 30 s, and over 40 to 60 with the above.
TIGHT_PROVERS = ("max_lp", "reduced_costs", "default_lp", "no_lp", "quick_restart", "pseudo_costs", "core")
NO_TIME = 0.01  # seconds; CP-SAT reads a limit of 0 as none


def say(**fields: object) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Incumbents(cp_model.CpSolverSolutionCallback):
    """Tells the parent every improving solution."""

    def __init__(self, told: dict[int, Any]) -> None:
        super().__init__()
        self.told = told

    def on_solution_callback(self) -> None:
        """Called by the solver."""
        say(kind="incumbent", values={column: self.value(variable) for column, variable in self.told.items()})


def integral(number: float) -> int:
    """A coefficient as the integer it is. ValueError if it is none."""
    if number != round(number):
        raise ValueError(f"{number} is not an integer")
    return round(number)


def translated(path: Path) -> tuple[cp_model.CpModel, dict[int, Any]]:
    """The MPS file as a CP-SAT model, and its v columns. ValueError if it cannot be read or is not pure integer."""
    read = model_builder.Model()
    if not read.import_from_mps_file(str(path)):
        raise ValueError(f"{path} is not an MPS file that ortools reads")
    helper, model = read.helper, cp_model.CpModel()
    columns, told = [], dict[int, Any]()
    for j in range(helper.num_variables()):
        name = helper.var_name(j)
        if not helper.var_is_integral(j):
            raise ValueError(f"column {name} is not an integer variable")
        low, high = integral(helper.var_lower_bound(j)), integral(helper.var_upper_bound(j))
        columns.append(model.new_int_var(low, high, name))
        if name.startswith("v"):
            told[int(name[1:])] = columns[-1]
    for i in range(helper.num_constraints()):
        factors = [integral(factor) for factor in helper.constraint_coefficients(i)]
        body = cp_model.LinearExpr.weighted_sum([columns[j] for j in helper.constraint_var_indices(i)], factors)
        below, above = helper.constraint_lower_bound(i), helper.constraint_upper_bound(i)
        low = cp_model.INT_MIN if below == float("-inf") else integral(below)
        high = cp_model.INT_MAX if above == float("inf") else integral(above)
        model.add_linear_constraint(body, low, high)
    costs = [(columns[j], integral(helper.var_objective_coefficient(j))) for j in range(len(columns))
             if helper.var_objective_coefficient(j)]
    if costs:
        model.minimize(cp_model.LinearExpr.weighted_sum([column for column, _ in costs], [cost for _, cost in costs]))
    return model, told


def use_threads(parameters: Any, threads: int, tight: bool) -> None:
    """With few threads all of them prove: CP-SAT's own choice for two is one full search and one that only improves
    incumbents, which took ten times as long on time-stepped models."""
    provers = TIGHT_PROVERS if tight else PROVERS
    parameters.num_workers = threads
    if threads == 1 and tight:
        parameters.linearization_level = 2  # what max_lp is
    if 1 < threads <= len(provers):
        parameters.subsolvers.extend(provers[:threads])
        parameters.use_lns = parameters.use_feasibility_jump = False


def main() -> None:
    """Read, solve, say how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--tight", action="store_true")
    asked = parser.parse_args()
    model, told = translated(asked.model)
    solver = cp_model.CpSolver()
    solver.parameters.random_seed = asked.seed
    use_threads(solver.parameters, asked.threads or os.cpu_count() or 1, asked.tight)
    if asked.seconds is not None:
        solver.parameters.max_time_in_seconds = max(NO_TIME, asked.seconds - (time.perf_counter() - BEGAN))
    if asked.log is not None:
        log = asked.log.open("w", encoding="utf-8")
        solver.parameters.log_search_progress, solver.parameters.log_to_stdout = True, False
        solver.log_callback = lambda line: log.write(line + "\n")
    optimises = model.has_objective()
    if optimises:
        solver.best_bound_callback = lambda bound: say(kind="bound", bound=ceil(bound))
    status = solver.solve(model, Incumbents(told))
    bound = ceil(solver.best_objective_bound) if optimises and status in (
        cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN) else None
    say(kind="end", status=solver.status_name(status), bound=bound,
        why=model.validate() if status == cp_model.MODEL_INVALID else "")


if __name__ == "__main__":
    main()
