"""The dual side of a follower on its block: dual variables and stationarity, shared by both rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from xplain.encodings.bilevel.dual_bounds import DualBounds
from xplain.encodings.bilevel.embedded import add, linear, variables
from xplain.encodings.bilevel.interval import reach
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import PrimalBounds


def add_duals(block: Any, form: NormalForm, leaders: Sequence[Any], bounds: DualBounds) -> None:
    """Add `dual` (lambda, m), `at_lower` (alpha) and `at_upper` (beta, for finite bounds only) with A'lambda + alpha
    - beta = c + C x.
    """
    lower, upper = (np.flatnonzero(np.isfinite(each)).tolist() for each in (form.lower, form.upper))
    block.dual = pyo.Var(range(form.num_rows), bounds=lambda _, i: (float(bounds.low[i]), float(bounds.high[i])))
    block.at_lower = pyo.Var(lower, bounds=lambda _, j: (0.0, max(0.0, float(bounds.reduced_high[j]))))
    block.at_upper = pyo.Var(upper, bounds=lambda _, j: (0.0, max(0.0, -float(bounds.reduced_low[j]))))
    duals = row_duals(block)
    block.stationarity = pyo.ConstraintList()
    for j in range(form.num_variables):
        reduced = linear(form.C[j], leaders) + float(form.c[j]) - linear(form.A[:, j], duals)
        if j in block.at_lower:
            reduced -= block.at_lower[j]
        if j in block.at_upper:
            reduced += block.at_upper[j]
        add(block.stationarity, reduced, equal=True)


def row_duals(block: Any) -> tuple[Any, ...]:
    """lambda of a block."""
    return tuple(block.dual[i] for i in range(len(block.dual)))


def objective_gap(block: Any, form: NormalForm) -> Any:
    """Dual minus primal objective without what x multiplies: sum_k x_k q_k (`multiplied`) is still to be taken off."""
    return linear(form.b, row_duals(block)) + bound_part(block, form) - linear(form.c, variables(block))


def seen_leaders(form: NormalForm) -> list[int]:
    """The inputs that occur in right-hand sides or objective."""
    return [int(k) for k in np.flatnonzero(form.C.any(axis=0) | form.B.any(axis=0))]


def multiplied(block: Any, form: NormalForm, leader: int, primal: PrimalBounds,
               dual: DualBounds) -> tuple[Any, float, float]:
    """q_k = C_k'y - B_k'lambda, what input k multiplies in primal minus dual objective, with its bounds."""
    C, B = form.C[:, leader], form.B[:, leader]
    y_low, y_high = reach(C, primal.low, primal.high)
    low, high = reach(B, dual.low, dual.high)
    return linear(C, variables(block)) - linear(B, row_duals(block)), y_low - high, y_high - low


def bound_part(block: Any, form: NormalForm) -> Any:
    """lower'alpha - upper'beta, the part of the dual objective that belongs to bounds of y."""
    return sum((float(form.lower[j]) * block.at_lower[j] for j in block.at_lower), 0.0) - sum(
        (float(form.upper[j]) * block.at_upper[j] for j in block.at_upper), 0.0)
