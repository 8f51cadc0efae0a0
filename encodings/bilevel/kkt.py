"""The KKT rewrite: a follower's optimality as primal and dual feasibility, stationarity and complementary slackness.

For a linear program these conditions are necessary and sufficient. Every complementary pair (dual, slack) gets a
binary,

    dual <= U on,   slack <= S (1 - on),

with proved U and S (`dual_bounds`, `primal_bounds`); pairs of which one side is always zero need none. The leader's
input may be continuous. Pyomo's `core.kkt` writes the same conditions but leaves the pairs as complementarities on
multipliers without bounds, and those bounds are the difficult part; a test holds this system to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.dual_bounds import MAX_BIG_M, dual_bounds, greatest_value
from xplain.encodings.bilevel.duals import add_duals, bound_part, row_duals
from xplain.encodings.bilevel.embedded import Embedded, linear, own_value, place, primal_value, slack, variables
from xplain.encodings.bilevel.errors import NoBoundError
from xplain.encodings.bilevel.levels import Levels
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.primal_bounds import primal_bounds


def rewrite_kkt(model: Any, form: NormalForm, leaders: Sequence[Any], levels: Levels | None, name: str) -> Embedded:
    """Add the KKT system of `form` as block `name`.

    The value is linear if x enters right-hand sides only (c'y) or the objective only (b'lambda + ...); for both, the
    inputs in the objective need levels (InputError). Raises NoBoundError and NoOptimumError as the bounds do.
    """
    primal = primal_bounds(form)
    dual = dual_bounds(form, primal)
    farthest = max(primal.slack.max(initial=0.0), (primal.high - primal.low).max(initial=0.0))
    if not farthest <= MAX_BIG_M and not form.C.any():
        primal = primal_bounds(form, value_at_most=greatest_value(form, dual))
    block = place(model, form, leaders, name)
    add_duals(block, form, leaders, dual)
    y = variables(block)
    block.on = pyo.VarList(domain=pyo.Binary)
    block.complementarity = pyo.ConstraintList()
    for i in np.flatnonzero(~form.equal).tolist():
        _complementary(block, form, f"row {form.source.row_names[i]}", block.dual[i], slack(form, i, y, leaders),
                       float(primal.slack[i]))
    for j in range(form.num_variables):
        what, fixed = f"variable {form.source.variable_names[j]}", form.lower[j] == form.upper[j]
        if j in block.at_lower and not fixed:
            _complementary(block, form, what, block.at_lower[j], y[j] - float(form.lower[j]),
                           float(primal.high[j] - form.lower[j]))
        if j in block.at_upper and not fixed:
            _complementary(block, form, what, block.at_upper[j], float(form.upper[j]) - y[j],
                           float(form.upper[j] - primal.low[j]))
    if form.C.any() and not form.B.any():
        value = own_value(form, linear(form.b, row_duals(block)) + bound_part(block, form), leaders)
    elif levels is None and not all(leaders[k].fixed for k in np.flatnonzero(form.C.any(axis=0)).tolist()):
        raise InputError(f"follower {form.source.name}", "objective_leader", "inputs in objective and right-hand sides",
                         "levels for the inputs: else the value is bilinear")
    else:
        value = primal_value(form, block, leaders, levels, primal)
    return Embedded(form.source, "kkt", block, y, value, dual.proofs)


def _complementary(block: Any, form: NormalForm, what: str, dual: Any, rest: Any, reach: float) -> None:
    """dual * rest = 0 for 0 <= dual <= its upper bound and 0 <= rest <= `reach`."""
    if not dual.ub or reach <= 0.0:
        return
    if not np.isfinite(reach) or max(reach, dual.ub) > MAX_BIG_M:
        far = max(reach, dual.ub)
        why = f"reaches {far:.3g}, beyond {MAX_BIG_M:.0e}" if np.isfinite(far) else "has no proved bound"
        raise NoBoundError(f"follower {form.source.name}: the slack or reduced cost of {what} {why}; give variables "
                           "and inputs finite, tighter bounds")
    on = block.on.add()
    block.complementarity.add(dual <= dual.ub * on)
    block.complementarity.add(rest <= reach * (1 - on))
