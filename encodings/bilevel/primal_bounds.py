"""How far a follower's variables and slacks can reach: proved over all (x, y) that are feasible together.

Every single-level rewrite keeps primal feasibility and the leader's box, so these bounds cut nothing off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xplain.encodings.bilevel.errors import NoOptimumError
from xplain.encodings.bilevel.follower import Array
from xplain.encodings.bilevel.interval import dot_range
from xplain.encodings.bilevel.normal import NormalForm
from xplain.encodings.bilevel.proved_lp import Polyhedron

EVERYWHERE = "for every input within the leader's bounds"


@dataclass(frozen=True, eq=False)
class PrimalBounds:
    """y in `low`..`high` (n; infinite: no bound proved) and A y - (b + B x) in 0..`slack` (m)."""

    low: Array
    high: Array
    slack: Array
    least_value: float  # proved lower bound of (c + C x)'y; -inf: none


def primal_bounds(form: NormalForm, *, value_at_most: float = np.inf) -> PrimalBounds:
    """Bounds by one LP each over the joint polyhedron. NoOptimumError if that is empty.

    `value_at_most`: a proved upper bound of all optimal values (for constant c only). Then the bounds hold for
    optimal y, of which there may be finitely far ones only though the polyhedron is unbounded.
    """
    m, n, p = form.num_rows, form.num_variables, len(form.leader_low)
    rows, least, most = np.hstack([form.A, -form.B]), form.b, np.where(form.equal, form.b, np.inf)
    if np.isfinite(value_at_most):
        rows = np.vstack([rows, np.concatenate([form.c, np.zeros(p)])])
        least, most = np.append(least, -np.inf), np.append(most, value_at_most)
    joint = Polyhedron(rows, least, most, np.concatenate([form.lower, form.leader_low]),
                       np.concatenate([form.upper, form.leader_high]))
    if joint.solve(np.zeros(n + p))[0] == "infeasible":
        raise NoOptimumError(form.source.name, "infeasible", EVERYWHERE)
    unit = np.eye(n + p)
    # Infinite sides first: once a variable has a finite box, rounding in later multipliers costs it nothing.
    for infinite_only in (True, False):
        for j in range(n):
            if not infinite_only or np.isinf(joint.high[j]):
                joint.tighten(j, -np.inf, joint.maximum(unit[j]))
            if not infinite_only or np.isinf(joint.low[j]):
                joint.tighten(j, joint.minimum(unit[j]), np.inf)
    slack = np.zeros(m)
    for i in np.flatnonzero(~form.equal):
        slack[i] = max(0.0, joint.maximum(np.concatenate([form.A[i], -form.B[i]])) - form.b[i])
    y_low, y_high = joint.low[:n], joint.high[:n]
    if form.C.any():
        least_value, _ = dot_range(*form.over_leaders(form.c, form.C), y_low, y_high)
    else:
        least_value = joint.minimum(np.concatenate([form.c, np.zeros(p)]))
    return PrimalBounds(y_low, y_high, np.nextafter(slack, np.inf), least_value)
