"""A follower solved again, by itself, at one input of the leader: what every claim of a single-level program is
checked against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import InputError, LimitError
from xplain.encodings.bilevel.errors import NoOptimumError, ReplayError
from xplain.encodings.bilevel.follower import Array, Follower
from xplain.encodings.bilevel.normal import normal_form
from xplain.encodings.bilevel.proved_lp import Polyhedron

TOLERANCE = 1e-6  # relative to max(1, |value|)


@dataclass(frozen=True, eq=False)
class Optimum:
    """The follower's optimal value, in its own sense, and one optimal y (n)."""

    value: float
    y: Array


def replay(follower: Follower, x: Array) -> Optimum:
    """Solve the follower's LP at x (p) with HiGHS.

    NoOptimumError if it is infeasible or unbounded there, InputError if x does not fit, LimitError if the solver
    gives up.
    """
    at = np.asarray(x, dtype=np.float64)
    if at.shape != (follower.num_leaders,) or not np.isfinite(at).all():
        raise InputError(f"follower {follower.name}", "x", at, f"{follower.num_leaders} finite numbers")
    form = normal_form(follower, at, at)
    rhs = form.b + form.B @ at
    feasible = Polyhedron(form.A, rhs, np.where(form.equal, rhs, np.inf), form.lower, form.upper)
    found, y = feasible.optimum(-(form.c + form.C @ at))
    if found in ("infeasible", "unbounded"):
        raise NoOptimumError(follower.name, found, f"at x = {at.tolist()}")
    if found != "optimal":
        raise LimitError(f"follower {follower.name}: HiGHS reached no answer at x = {at.tolist()}")
    return Optimum(follower.value(y, at), y)


def check_replayed(follower: Follower, claimed: float, optimum: Optimum, *, aligned: bool) -> None:
    """ReplayError if the program's value is not the optimum within TOLERANCE.

    An aligned follower may be short of its optimum (the program stopped early): the replayed gap is larger then.
    """
    allowed = TOLERANCE * max(1.0, abs(optimum.value))
    better = claimed - optimum.value if follower.sense == "max" else optimum.value - claimed
    if better > allowed or (not aligned and -better > allowed):
        raise ReplayError(f"follower {follower.name}: the single-level program claims {claimed!r}, solved again it is "
                          f"{optimum.value!r} (tolerance {allowed:.1e}); tighter bounds of variables and inputs make "
                          "smaller big-M")
