"""The normal form on which both rewrites and all bounds are stated.

    min (c + C x)'y   subject to   A y >= b + B x  (rows i with equal[i]: =),   lower <= y <= upper

Its dual, with lambda (m; >= 0 except on equal rows), alpha for finite lower and beta for finite upper bounds:

    max (b + B x)'lambda + lower'alpha - upper'beta   subject to   A'lambda + alpha - beta = c + C x,   alpha, beta >= 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.follower import Array, Follower
from xplain.encodings.bilevel.interval import reach


@dataclass(frozen=True, eq=False)
class NormalForm:
    """`source` in normal form over the box of the leader's inputs, `leader_low`..`leader_high` (p each, finite).

    The source's value is sign * (c + C x)'y + d + e'x.
    """

    source: Follower
    sign: float
    c: Array
    C: Array
    A: Array
    b: Array
    B: Array
    equal: NDArray[np.bool_]
    lower: Array
    upper: Array
    leader_low: Array
    leader_high: Array

    @property
    def num_rows(self) -> int:
        """m."""
        return int(self.A.shape[0])

    @property
    def num_variables(self) -> int:
        """n."""
        return int(self.A.shape[1])

    def over_leaders(self, constant: Array | Sequence[Fraction], factor: Array) -> tuple[Array, Array]:
        """Least and greatest value of constant + factor x over the leader's box, row by row, rounded outwards."""
        ends = [reach(row, self.leader_low, self.leader_high, each if isinstance(each, Fraction) else float(each))
                for row, each in zip(factor, constant, strict=True)]
        return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def normal_form(follower: Follower, leader_low: Array, leader_high: Array) -> NormalForm:
    """`follower` in normal form. InputError if the box does not fit or an input that matters has no finite bounds."""
    p, source = follower.num_leaders, f"follower {follower.name}"
    if leader_low.shape != (p,) or leader_high.shape != (p,):
        raise InputError(source, "leaders", leader_low.shape[0], f"as many as rhs_leader has columns ({p})")
    for index in range(p):
        low, high = float(leader_low[index]), float(leader_high[index])
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise InputError(source, f"leaders[{index}]", (low, high), "finite bounds, lower <= upper")
    sign = 1.0 if follower.sense == "min" else -1.0
    row_sign = np.array([-1.0 if relation == "<=" else 1.0 for relation in follower.relations])
    return NormalForm(
        follower, sign, sign * follower.objective, sign * follower.objective_leader,
        row_sign[:, None] * follower.matrix, row_sign * follower.rhs, row_sign[:, None] * follower.rhs_leader,
        np.array([relation == "=" for relation in follower.relations], dtype=np.bool_), follower.lower, follower.upper,
        leader_low, leader_high,
    )
