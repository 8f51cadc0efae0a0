"""A gap model as a free-format MPS file, for solvers that live elsewhere.

All numbers are integers. MPS minimises, so the objective is negated: the file's optimum is -(gap / unit).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drex_runtime.records.files import write_atomic
from xplain.encodings.gap.lattice.model import GapModel


def write_mps(model: GapModel, path: Path, *, pure_integer: bool = False) -> None:
    """Write `path`. `pure_integer`: flows are declared integers too, which they may be (solvers such as CP-SAT)."""
    write_atomic(path, "\n".join(_lines(model, pure_integer)) + "\n")


def _lines(model: GapModel, pure_integer: bool) -> Iterator[str]:
    yield "NAME gap"
    yield "ROWS"
    yield " N minus_gap"
    for name, low, high in zip(model.rows, model.row_low, model.row_high, strict=True):
        yield f" {'E' if low == high else 'L' if low is None else 'G'} {name}"
    yield "COLUMNS"
    entries: list[list[str]] = [[] for _ in model.columns]
    for row, name in enumerate(model.rows):
        for k in range(int(model.row_start[row]), int(model.row_start[row + 1])):
            entries[model.column[k]].append(f"{name} {model.value[k]}")
    last = len(model.columns) if pure_integer else len(model.bits)
    yield " MARKER 'MARKER' 'INTORG'"
    for j, name in enumerate(model.columns):
        if j == last:
            yield " MARKER 'MARKER' 'INTEND'"
        for entry in (f"minus_gap {-model.cost[j]}", *entries[j]):
            yield f" {name} {entry}"
    if last == len(model.columns):
        yield " MARKER 'MARKER' 'INTEND'"
    yield "RHS"
    yield f" RHS minus_gap {model.offset}"  # the negative of the constant that is added
    for name, low, high in zip(model.rows, model.row_low, model.row_high, strict=True):
        side = low if high is None else high
        if side:
            yield f" RHS {name} {side}"
    yield "BOUNDS"
    for name in model.columns:
        yield f" UP BND {name} 1"
    yield "ENDATA"
