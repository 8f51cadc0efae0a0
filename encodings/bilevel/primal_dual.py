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

from xplain.encodings.bilevel.dual_bounds import MAX_BIG_M, dual_bounds
from xplain.encodings.bilevel.duals import add_duals, multiplied, objective_gap, seen_leaders
from xplain.encodings.bilevel.embedded import Embedded, add, place, primal_value, product, variables
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
    gap = objective_gap(block, form)
    for k in seen_leaders(form):
        q, q_low, q_high = multiplied(block, form, k, primal, dual)
        if not leaders[k].fixed and not max(-q_low, q_high) <= MAX_BIG_M:
            raise NoBoundError(f"follower {form.source.name}: {leaders[k].name} multiplies a sum that reaches "
                               f"{max(-q_low, q_high):.3g}, beyond {MAX_BIG_M:.0e}; give variables finite, tighter "
                               "bounds")
        gap = gap - product(levels, leaders, k, q, q_low, q_high, block)
    add(block.rows, gap)
    value = primal_value(form, block, leaders, levels, primal)
    return Embedded(form.source, "primal-dual", block, variables(block), value, dual.proofs)
