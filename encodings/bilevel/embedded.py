"""What every form of a follower in a single-level program shares: its variables, rows and value on a Pyomo block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.dual_bounds import Proof
from xplain.encodings.bilevel.errors import NoBoundError
from xplain.encodings.bilevel.follower import Array, Follower
from xplain.encodings.bilevel.interval import reach
from xplain.encodings.bilevel.levels import Levels
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import PrimalBounds

Form = Literal["direct", "kkt", "primal-dual"]


@dataclass(frozen=True, eq=False)
class Embedded:
    """A follower on `block` of a model: `value` is its objective as an expression, `y` (n) its variables.

    `form` "direct": primal feasibility only; else y is optimal for the leader's input. `proofs`: how each row's dual
    was bounded.
    """

    follower: Follower
    form: Form
    block: Any
    y: tuple[Any, ...]
    value: Any
    proofs: tuple[Proof, ...] = ()


def leader_box(leaders: Sequence[Any]) -> tuple[Array, Array]:
    """Bounds of the leader's Pyomo variables (fixed ones: their value). InputError if one is infinite."""
    low, high = np.zeros(len(leaders)), np.zeros(len(leaders))
    for index, leader in enumerate(leaders):
        ends = (leader.value, leader.value) if leader.fixed else leader.bounds
        if ends[0] is None or ends[1] is None:
            raise InputError("leader", leader.name, ends, "finite bounds")
        low[index], high[index] = ends
    return low, high


def place(model: Any, form: NormalForm, leaders: Sequence[Any], name: str) -> Any:
    """A new block `name` of `model` with y within its bounds and the primal rows A y >= b + B x."""
    block = pyo.Block()
    model.add_component(name, block)
    block.y = pyo.Var(range(form.num_variables), bounds=lambda _, j: (_finite(form.lower[j]), _finite(form.upper[j])))
    block.rows = pyo.ConstraintList()
    block.part = pyo.VarList()
    for i in range(form.num_rows):
        rest = slack(form, i, variables(block), leaders)
        add(block.rows, rest, equal=bool(form.equal[i]))
    return block


def variables(block: Any) -> tuple[Any, ...]:
    """y of a block."""
    return tuple(block.y[j] for j in range(len(block.y)))


def add(rows: Any, expression: Any, *, equal: bool = False) -> None:
    """Add expression >= 0 (or = 0) to a ConstraintList, also where nothing but a number is left of it."""
    if isinstance(expression, int | float):
        holds = expression == 0 if equal else expression >= 0
        rows.add(pyo.Constraint.Feasible if holds else pyo.Constraint.Infeasible)
    else:
        rows.add(expression == 0 if equal else expression >= 0)


def primal_value(form: NormalForm, block: Any, leaders: Sequence[Any], levels: Levels | None,
                 bounds: PrimalBounds) -> Any:
    """The follower's objective as a linear expression; inputs that multiply y need levels (InputError)."""
    y = variables(block)
    total = linear(form.c, y)
    for k in np.flatnonzero(form.C.any(axis=0)).tolist():
        factors = form.C[:, k]
        low, high = reach(factors, bounds.low, bounds.high)
        if not np.isfinite(high - low) and not leaders[k].fixed:
            raise NoBoundError(f"follower {form.source.name}: {leaders[k].name} multiplies variables without a proved "
                               "bound; give them finite bounds")
        total = total + product(levels, leaders, k, linear(factors, y), low, high, block)
    return own_value(form, total, leaders)


def own_value(form: NormalForm, normal: Any, leaders: Sequence[Any]) -> Any:
    """The follower's objective in its own sense, from that of the normal form."""
    return form.sign * normal + form.source.constant + linear(form.source.constant_leader, leaders)


def slack(form: NormalForm, row: int, y: Sequence[Any], leaders: Sequence[Any]) -> Any:
    """A y - (b + B x) of one row."""
    return linear(form.A[row], y) - linear(form.B[row], leaders) - float(form.b[row])


def linear(factors: Array, variables: Sequence[Any]) -> Any:
    """factors'variables over the nonzero factors."""
    return sum((float(factors[j]) * variables[j] for j in np.flatnonzero(factors).tolist()), 0.0)


def product(levels: Levels | None, leaders: Sequence[Any], leader: int, factor: Any, low: float, high: float,
            block: Any) -> Any:
    """x_leader * factor, exact on the levels: sum_l value_l w_l with sum_l w_l = factor and low on_l <= w_l <= high
    on_l.

    For one-hot binaries these rows are the convex hull of {(on, factor, on * factor)}: McCormick per level,
    aggregated. `factor` lies in `low`..`high`. InputError if the input is neither fixed nor quantised.
    """
    if leaders[leader].fixed:
        return float(leaders[leader].value) * factor
    terms = None if levels is None else levels.terms(leader)
    if terms is None:
        raise InputError("leader", leaders[leader].name, "continuous",
                         "levels: it multiplies variables or duals of the follower")
    parts = list[Any]()
    for _, on in terms:
        part = block.part.add()
        part.setlb(min(low, 0.0))
        part.setub(max(high, 0.0))
        block.rows.add(part >= low * on)
        block.rows.add(part <= high * on)
        parts.append(part)
    block.rows.add(sum(parts) == factor)
    return sum(value * part for (value, _), part in zip(terms, parts, strict=True))


def _finite(bound: Any) -> float | None:
    return float(bound) if np.isfinite(bound) else None
