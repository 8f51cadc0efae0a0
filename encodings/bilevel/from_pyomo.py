"""A follower read from a Pyomo block: its variables, active constraints and one active objective, with the leader's
as data.

Pyomo's `compile_parameterized_standard_form` reads such blocks too, but keeps coefficients as expressions; here they
must be affine in the leader's inputs and become numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.repn import generate_standard_repn

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.follower import Follower, Relation, follower


def follower_from_block(block: Any, leaders: Sequence[Any], *, name: str | None = None) -> Follower:
    """The follower that `block` states; every variable in it that is not among `leaders` is the follower's.

    InputError for no or several objectives, discrete variables, nonlinear terms, or an input that multiplies a
    variable within a constraint.
    """
    reader = _Reader(name or block.name, leaders)
    objectives = list(block.component_data_objects(pyo.Objective, active=True))
    if len(objectives) != 1:
        raise InputError(reader.source, "objective", len(objectives), "exactly one active objective")
    goal = reader.affine("objective", objectives[0].expr, products=True)
    rows = list[tuple[str, _Affine, Relation, float]]()
    for each in block.component_data_objects(pyo.Constraint, active=True):
        low, body, high = each.to_bounded_expression(evaluate_bounds=True)
        affine = reader.affine(each.name, body)
        if each.equality:
            rows.append((each.name, affine, "=", high))
            continue
        if low is not None:
            rows.append((each.name if high is None else f"{each.name}:lower", affine, ">=", low))
        if high is not None:
            rows.append((each.name if low is None else f"{each.name}:upper", affine, "<=", high))
    n, p, ys = len(reader.variables), len(leaders), list(reader.variables.values())
    matrix, rhs_leader, cross = np.zeros((len(rows), n)), np.zeros((len(rows), p)), np.zeros((n, p))
    for i, (_, affine, _, _) in enumerate(rows):
        for j, factor in affine.own.items():
            matrix[i, j] = factor
        rhs_leader[i] = -affine.leader
    for (j, k), factor in goal.products.items():
        cross[j, k] = factor
    ends = [each.bounds for each in ys]
    return follower(
        reader.source.removeprefix("follower "), "min" if objectives[0].sense == pyo.minimize else "max",
        [goal.own.get(j, 0.0) for j in range(n)], matrix, [relation for _, _, relation, _ in rows],
        [side - affine.constant for _, affine, _, side in rows], rhs_leader,
        lower=[-np.inf if low is None else low for low, _ in ends],
        upper=[np.inf if high is None else high for _, high in ends],
        objective_leader=cross, constant=goal.constant, constant_leader=goal.leader,
        row_names=tuple(row_name for row_name, _, _, _ in rows), variable_names=tuple(each.name for each in ys))


class _Affine:
    """constant + leader'x + sum own[j] y_j + sum products[j, k] y_j x_k."""

    def __init__(self, constant: float, num_leaders: int) -> None:
        self.constant, self.leader = constant, np.zeros(num_leaders)
        self.own, self.products = dict[int, float](), dict[tuple[int, int], float]()


class _Reader:
    """Collects the follower's variables in the order in which they are met."""

    def __init__(self, name: str, leaders: Sequence[Any]) -> None:
        self.source = f"follower {name}"
        self.variables = dict[int, Any]()
        self._at = dict[int, int]()
        self._leaders = {id(each): index for index, each in enumerate(leaders)}

    def affine(self, field: str, expression: Any, *, products: bool = False) -> _Affine:
        """The parts of an expression; products of an input and a variable only if allowed."""
        form = generate_standard_repn(expression, compute_values=True, quadratic=True)
        if form.nonlinear_expr is not None:
            raise InputError(self.source, field, str(expression), "an expression affine in the follower's variables")
        found = _Affine(float(form.constant), len(self._leaders))
        for factor, variable in zip(form.linear_coefs, form.linear_vars, strict=True):
            if id(variable) in self._leaders:
                found.leader[self._leaders[id(variable)]] += float(factor)
            else:
                found.own[self._position(variable)] = float(factor)
        for factor, pair in zip(form.quadratic_coefs, form.quadratic_vars, strict=True):
            inputs = [each for each in pair if id(each) in self._leaders]
            if not products or len(inputs) != 1:
                raise InputError(self.source, field, str(expression), "products of one input and one variable only"
                                 if products else "no products of variables or inputs")
            (own,) = (each for each in pair if id(each) not in self._leaders)
            found.products[self._position(own), self._leaders[id(inputs[0])]] = float(factor)
        return found

    def _position(self, variable: Any) -> int:
        if not variable.is_continuous():
            raise InputError(self.source, "variables", variable.name,
                             "a continuous variable: followers are linear programs")
        if id(variable) not in self._at:
            self._at[id(variable)] = len(self.variables)
            self.variables[id(variable)] = variable
        return self._at[id(variable)]
