"""The quantised primal-dual rewrite: a follower's optimality as primal feasibility, dual feasibility and equal
objectives.

    (c + C x)'y <= (b + B x)'lambda + lower'alpha - upper'beta        (weak duality gives >=)

has products of x with y and lambda. With x on finitely many levels, x_k = sum_l level_kl on_kl, they collect to x_k
q_k with q_k = C_k'y - B_k'lambda, and on_kl q_k is linear exactly, given bounds of q_k. No complementarity, hence no
binaries beyond the levels, but it sees these levels only. Source: MetaOpt (NSDI 2024), quantised primal-dual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xplain.encodings.bilevel.dual_bounds import MAX_BIG_M, dual_bounds
from xplain.encodings.bilevel.duals import add_duals, bound_part, row_duals
from xplain.encodings.bilevel.embedded import Embedded, add, linear, place, primal_value, product, reach, variables
from xplain.encodings.bilevel.errors import NoBoundError
from xplain.encodings.bilevel.levels import Levels
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import primal_bounds


def rewrite_primal_dual(model: Any, form: NormalForm, leaders: Sequence[Any], levels: Levels | None,
                        name: str) -> Embedded:
    """Add primal, dual and strong duality of `form` as block `name`.

    Every input that the follower sees must be quantised or fixed (InputError). Raises NoBoundError and NoOptimumError
    as the bounds do.
    """
    primal = primal_bounds(form)
    dual = dual_bounds(form, primal)
    block = place(model, form, leaders, name)
    add_duals(block, form, leaders, dual)
    y, duals = variables(block), row_duals(block)
    gap = linear(form.b, duals) + bound_part(block, form) - linear(form.c, y)
    for k in np.flatnonzero(form.C.any(axis=0) | form.B.any(axis=0)).tolist():
        q = linear(form.C[:, k], y) - linear(form.B[:, k], duals)
        y_low, y_high = reach(form.C[:, k], primal.low, primal.high)
        low, high = reach(form.B[:, k], dual.low, dual.high)
        q_low, q_high = y_low - high, y_high - low
        if not leaders[k].fixed and not max(-q_low, q_high) <= MAX_BIG_M:
            raise NoBoundError(f"follower {form.source.name}: {leaders[k].name} multiplies a sum that reaches "
                               f"{max(-q_low, q_high):.3g}, beyond {MAX_BIG_M:.0e}; give variables finite, tighter "
                               "bounds")
        gap = gap - product(levels, leaders, k, q, q_low, q_high, block)
    add(block.rows, gap)
    value = primal_value(form, block, leaders, levels, primal)
    return Embedded(form.source, "primal-dual", block, y, value, dual.proofs)
