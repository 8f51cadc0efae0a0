"""A MILP as matrices: what Pyomo's expressions come to, once, for every solver.

    optimise cost . x + offset   with   below <= rows . x <= above,   low <= x <= high,   x integer

All numbers are integers (in ticks) that doubles carry exactly; what is not is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from drex_runtime.errors import LimitError
from xplain.encodings.terms.milp import MilpModel

Matrix: TypeAlias = Any  # scipy carries no types
Vector: TypeAlias = Any
EQUAL, AT_MOST = 0, 1  # how pyomo marks a row; anything else is "at least"


@dataclass(frozen=True)
class Linear:
    """`names[j]`: the term variable that column j is, "" for a derived column. `rows` is a csc matrix."""

    names: tuple[str, ...]
    low: Vector
    high: Vector
    cost: Vector
    offset: int
    maximize: bool
    rows: Matrix
    below: Vector
    above: Vector

    @classmethod
    def of(cls, milp: MilpModel) -> Linear:
        """The matrices of `milp`. LimitError if a coefficient is no integer that a double carries."""
        form = LinearStandardFormCompiler().write(milp.model, mixed_form=True, set_sense=None)
        kinds = np.array([row.bound_type for row in form.rows], dtype=int)
        below = np.where(kinds == AT_MOST, -np.inf, form.rhs)
        above = np.where((kinds == AT_MOST) | (kinds == EQUAL), form.rhs, np.inf)
        low = np.array([float(column.lb) for column in form.columns])
        high = np.array([float(column.ub) for column in form.columns])
        cost = np.asarray(form.c.todense()).reshape(-1)
        for part in (form.A.data, form.rhs, low, high, cost):
            if np.any(part != np.rint(part)) or np.any(np.abs(part) > 2**52):
                raise LimitError("MILP: a coefficient is not an integer below 2^52; use a coarser quantum")
        term_of = {id(milp.variable(name)): name for name in milp.terms.variables}
        return cls(tuple(term_of.get(id(column), "") for column in form.columns), low, high, cost,
                   round(float(form.c_offset[0])), milp.maximize, form.A.tocsc(), below, above)

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.names)

    def point(self, values: Vector) -> dict[str, int]:
        """The term variables of a solver's column values, rounded."""
        return {name: round(float(value)) for name, value in zip(self.names, values, strict=True) if name}

    def write_mps(self, path: Path) -> None:
        """Write free MPS with integers only: the cost is negated where it is maximised, the offset left out. Columns
        that are term variables are called v<column>, others d<column>."""
        sign = -1 if self.maximize else 1
        kinds = ["E" if below == above else "L" if below == -np.inf else "G"
                 for below, above in zip(self.below, self.above, strict=True)]
        with path.open("w", encoding="ascii") as file:
            file.write("NAME steps\nROWS\n N cost\n")
            file.writelines(f" {kind} r{i}\n" for i, kind in enumerate(kinds))
            file.write("COLUMNS\n MARK0 'MARKER' 'INTORG'\n")
            starts, indices, data = self.rows.indptr, self.rows.indices, self.rows.data
            for j in range(self.width):
                name = self.column(j)
                file.write(f" {name} cost {sign * int(self.cost[j])}\n")
                file.writelines(f" {name} r{indices[at]} {int(data[at])}\n" for at in range(starts[j], starts[j + 1]))
            file.write(" MARK1 'MARKER' 'INTEND'\nRHS\n")
            for i, kind in enumerate(kinds):
                side = int(self.above[i] if kind != "G" else self.below[i])
                if side:
                    file.write(f" RHS r{i} {side}\n")
            file.write("BOUNDS\n")
            for j in range(self.width):
                file.write(f" LO B {self.column(j)} {int(self.low[j])}\n UP B {self.column(j)} {int(self.high[j])}\n")
            file.write("ENDATA\n")

    def column(self, j: int) -> str:
        """Column j's name in an MPS file."""
        return f"{'v' if self.names[j] else 'd'}{j}"
