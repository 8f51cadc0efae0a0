"""One follower into a single-level model: rewritten so that it is optimal, or directly where the objective makes it
so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.embedded import Embedded, leader_box, place, primal_value, variables
from xplain.encodings.bilevel.follower import Follower
from xplain.encodings.bilevel.kkt import rewrite_kkt
from xplain.encodings.bilevel.levels import Levels
from xplain.encodings.bilevel.normal import normal_form
from xplain.encodings.bilevel.primal_bounds import primal_bounds
from xplain.encodings.bilevel.primal_dual import rewrite_primal_dual

Method = Literal["kkt", "primal-dual"]


def rewrite(model: Any, follower: Follower, leaders: Sequence[Any], *, method: Method = "kkt",
            levels: Levels | None = None, name: str | None = None) -> Embedded:
    """Add a block to `model` on which the follower's variables are optimal for the leader's input.

    `leaders`: Pyomo variables with finite bounds, in the order of the follower's leader columns. `levels`: from
    `quantise`; the primal-dual method needs them. An input at which the follower has no optimum is infeasible in the
    model; among several optima the model's objective takes its favourite (optimistic). Raises InputError, NoBoundError,
    NoOptimumError.
    """
    if method not in get_args(Method):
        raise InputError(f"follower {follower.name}", "method", method, "'kkt' or 'primal-dual'")
    form, block = normal_form(follower, *leader_box(leaders)), name or follower.name
    if method == "kkt":
        return rewrite_kkt(model, form, leaders, levels, block)
    return rewrite_primal_dual(model, form, leaders, levels, block)


def embed_direct(model: Any, follower: Follower, leaders: Sequence[Any], *, levels: Levels | None = None,
                 name: str | None = None) -> Embedded:
    """Add the follower's variables and rows only. Its optimality is the business of the model's objective: see
    `is_aligned`.
    """
    form = normal_form(follower, *leader_box(leaders))
    bounds = primal_bounds(form)
    block = place(model, form, leaders, name or follower.name)
    return Embedded(follower, "direct", block, variables(block), primal_value(form, block, leaders, levels, bounds))


def is_aligned(follower: Follower, weight: float) -> bool:
    """Whether an outer objective that maximises weight * value pushes the follower in its own direction.

    Then, if nothing else in the model refers to its variables, sup over x and y equals sup over x of the optimum: no
    rewrite needed.
    """
    return weight > 0 if follower.sense == "max" else weight < 0
