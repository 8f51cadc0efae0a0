"""Independent answers: followers solved with SciPy at every combination of levels, and random followers to try them
on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import OptimizeResult, linprog

from xplain.encodings.bilevel import Follower, follower
from xplain.encodings.bilevel.follower import Array, Sense


def solved(given: Follower, x: Array, *, goal: Array | None = None, value: float | None = None) -> OptimizeResult:
    """The follower's LP at x by SciPy, minimised. With `goal`: minimise goal'y over the optima of this `value`
    instead.
    """
    sign = 1.0 if given.sense == "min" else -1.0
    c = sign * (given.objective + given.objective_leader @ x)
    rows = list(zip(given.matrix, given.rhs + given.rhs_leader @ x, given.relations, strict=True))
    at_most = [(row, side) for row, side, relation in rows if relation == "<="]
    at_most += [(-row, -side) for row, side, relation in rows if relation == ">="]
    equal = [(row, side) for row, side, relation in rows if relation == "="]
    if goal is not None and value is not None:
        at_most.append((c, value + 1e-9))
    return linprog(
        c if goal is None else goal,
        A_ub=[row for row, _ in at_most] or None, b_ub=[side for _, side in at_most] or None,
        A_eq=[row for row, _ in equal] or None, b_eq=[side for _, side in equal] or None,
        bounds=list(zip(given.lower, given.upper, strict=True)), method="highs")


def optimum(given: Follower, x: Array) -> float | None:
    """The follower's optimal value at x in its own sense; None if it has no optimum."""
    found = solved(given, x)
    if found.status != 0:
        return None
    normal = float(found.fun)
    return (normal if given.sense == "min" else -normal) + given.constant + float(given.constant_leader @ x)


def best(terms: Sequence[tuple[float, Follower]], inputs: Iterable[Sequence[float]]) -> float | None:
    """max over the inputs of the weighted sum of optima; None if at no input all have one."""
    found = list[float]()
    for x in inputs:
        values = [optimum(given, np.array(x, dtype=float)) for _, given in terms]
        if all(value is not None for value in values):
            pairs = zip(terms, values, strict=True)
            found.append(sum(weight * value for (weight, _), value in pairs if value is not None))
    return max(found, default=None)


def grid(levels: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """All combinations of levels."""
    return list(itertools.product(*levels))


def random_follower(seed: int, *, sense: Sense, name: str = "follower", objective_leader: bool = False,
                    equality: bool = False, free: bool = False, closed: bool = True) -> Follower:
    """Small integer data, degenerate more often than not; sometimes infeasible at some inputs.

    `closed`: one more row bounds the variables together, though not each; without it the follower may be unbounded.
    """
    rng = np.random.default_rng(seed)
    n, m, p = int(rng.integers(2, 5)), int(rng.integers(2, 5)), 2
    matrix = rng.integers(-2, 4, (m, n))
    relations = rng.choice(["<=", ">="], m, p=[0.7, 0.3]).tolist()
    if equality:
        relations[0] = "="
    lower, upper = np.zeros(n), np.where(rng.random(n) < 0.6, rng.integers(2, 6, n), np.inf)
    upper[rng.random(n) < 0.1] = 0.0
    if free:
        lower[0], upper[0] = -np.inf, np.inf
        matrix, relations = np.vstack([matrix, np.eye(1, n, 0), np.eye(1, n, 0)]), [*relations, "<=", ">="]
    box = [[4.0], [-3.0]] if free else []
    if closed:
        matrix, relations, box = np.vstack([matrix, np.ones((1, n))]), [*relations, "<="], [*box, [9.0]]
    return follower(
        name, sense, rng.integers(-3, 4, n), matrix, relations,
        np.concatenate([rng.integers(0, 7, m), *box]),
        np.vstack([rng.integers(-1, 3, (m, p)), *([np.eye(1, p)] * len(box))]), lower=lower, upper=upper,
        objective_leader=rng.integers(-1, 2, (n, p)) if objective_leader else None, constant=1.0,
        constant_leader=rng.integers(-1, 2, p))


def mirrored(given: Follower) -> Follower:
    """The same follower in -y: lower bounds become upper ones."""
    return replace(given, objective=-given.objective, matrix=-given.matrix, lower=-given.upper, upper=-given.lower,
                   objective_leader=-given.objective_leader)
