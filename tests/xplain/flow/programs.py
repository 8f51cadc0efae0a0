"""Random linear and mixed-integer programs of every kind, and their direct solution."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from xplain.flow.rules import Relation
from xplain.flow.solve import Status
from xplain.flow.translate import Program

RELATIONS: tuple[Relation, ...] = ("<=", "=", ">=")


def random_program(seed: int, *, integers: bool) -> Program:
    """Small; negative coefficients, empty and doubled rows, free, fixed and one-sided variables, empty objectives."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 5)), int(rng.integers(0, 5))
    fractional = bool(rng.integers(2))
    number = (lambda: round(float(rng.normal()), 3)) if fractional else (lambda: int(rng.integers(-4, 5)))
    matrix = [[number() if rng.random() < 0.7 else 0 for _ in range(n)] for _ in range(m)]
    if m >= 2 and rng.random() < 0.3:
        matrix[-1] = list(matrix[0])  # degenerate, or contradictory
    rhs = [int(rng.integers(-3, 8)) for _ in range(m)]
    lower, upper, whole = list[float](), list[float](), set[int]()
    for j in range(n):
        kind = int(rng.integers(5))
        low, high = ((0, math.inf), (-math.inf, math.inf), (-math.inf, 3), (-2, 4), (1, 1))[kind]
        if integers and rng.random() < 0.7:
            whole.add(j)
            low, high = ((0, 1), (0, 1), (-3, 2), (0, 7), (2, 2))[kind]
        lower.append(low)
        upper.append(high)
    objective = tuple(number() if rng.random() < 0.8 else 0 for _ in range(n))
    return Program("min" if rng.integers(2) else "max", objective, tuple(map(tuple, matrix)),
                   tuple(RELATIONS[int(rng.integers(3))] for _ in range(m)), tuple(rhs), tuple(lower), tuple(upper),
                   frozenset(whole))


def directly(program: Program) -> tuple[Status, float | None]:
    """Status and optimum by scipy on the matrix; where it has no answer, by enumerating the integers."""
    sign = 1.0 if program.sense == "min" else -1.0
    cost = sign * np.array(program.objective, dtype=float)
    status, value = _run(program, cost)
    if status != "optimal":  # HiGHS calls some unbounded MILPs infeasible: is there a point at all?
        found, _ = _run(program, np.zeros(len(cost)))
        if found is None:
            return _enumerated(program)
        return ("infeasible" if found == "infeasible" else "unbounded"), None
    return status, None if value is None else sign * value


def _enumerated(program: Program) -> tuple[Status, float | None]:
    whole = sorted(program.integer)
    best, unbounded = None, False
    for values in itertools.product(*(range(int(program.lower[j]), int(program.upper[j]) + 1) for j in whole)):
        fixed = dict(zip(whole, values, strict=True))
        lower = tuple(fixed.get(j, low) for j, low in enumerate(program.lower))
        upper = tuple(fixed.get(j, high) for j, high in enumerate(program.upper))
        sign = 1.0 if program.sense == "min" else -1.0
        part = replace(program, lower=lower, upper=upper, integer=frozenset())
        status, value = _run(part, sign * np.array(program.objective, dtype=float))
        unbounded |= status is None and _run(part, np.zeros(len(lower)))[0] == "optimal"
        if value is not None:
            best = value if best is None else min(best, value)
    if unbounded or best is None:
        return ("unbounded" if unbounded else "infeasible"), None
    return "optimal", best if program.sense == "min" else -best


def _run(program: Program, cost: np.ndarray) -> tuple[Status | None, float | None]:
    rows = np.array(program.matrix, dtype=float).reshape(len(program.rhs), len(cost))
    rhs = np.array(program.rhs, dtype=float)
    low = np.where([each == "<=" for each in program.relations], -np.inf, rhs)
    high = np.where([each == ">=" for each in program.relations], np.inf, rhs)
    found = milp(cost, constraints=[LinearConstraint(rows, low, high)] if len(rhs) else [],
                 bounds=Bounds(np.array(program.lower, dtype=float), np.array(program.upper, dtype=float)),
                 integrality=np.array([j in program.integer for j in range(len(cost))], dtype=int),
                 options={"mip_rel_gap": 0.0})
    if found.status == 0:
        return "optimal", float(found.fun)
    return ("infeasible" if found.status == 2 else None), None
