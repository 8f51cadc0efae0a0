"""A network as a Pyomo block: redundant quantities merged, all names kept."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyomo.environ as pyo

from drex_runtime.errors import InputError
from xplain.flow.bounds import Box
from xplain.flow.merge import Form, Reduced, merge, unmerged
from xplain.flow.network import Network
from xplain.flow.rules import Quantity
from xplain.flow.system import System, system


@dataclass(frozen=True)
class Counts:
    """How large a program is; `binaries` are among the `variables`."""

    variables: int
    binaries: int
    rows: int


@dataclass(frozen=True, eq=False)
class Compiled:
    """`block` holds the variables `flow` and `indicator`, the rows `row` and the objective `goal`.

    `forms`: what every quantity of the network is in terms of the variables left. `before` and `after`: sizes without
    and with merging; `seconds`: what stating, merging and building took. `contradictions`: rows and bounds, by name,
    that merging found to be impossible; the block then has infeasible rows in their place.
    """

    network: Network
    block: Any
    forms: Mapping[Quantity, Form]
    roots: Mapping[Quantity, Any]
    before: Counts
    after: Counts
    contradictions: tuple[str, ...]
    seconds: float

    def expression(self, quantity: Quantity) -> Any:
        """A quantity as an affine Pyomo expression (a number where it is fixed)."""
        form = self.forms[quantity]
        if form.root is None:
            return float(form.offset)
        root = self.roots[form.root]
        return root if (form.scale, form.offset) == (1, 0) else float(form.scale) * root + float(form.offset)

    def values(self) -> dict[Quantity, float]:
        """All quantities at the solution that was loaded into the block.

        A quantity that nothing restricts but its bounds does not reach the solver: it is as near to 0 as they allow.
        """
        at = {key: _value(variable) for key, variable in self.roots.items()}
        return {key: float(form.offset) + (float(form.scale) * at[form.root] if form.root is not None else 0.0)
                for key, form in self.forms.items()}


def compile_network(network: Network, *, merged: bool = True, inputs: Mapping[Quantity, Any] | None = None,
                    block: Any = None) -> Compiled:
    """The network as a Pyomo program, by default in a model of its own.

    `inputs`: quantities that are variables of somebody else (with finite bounds), as the demands that a leader chooses
    or the indicators of conditions on them; they are used as they are, and a condition given so is not tied to its
    terms here. `block`: an empty Pyomo block to build in. Raises InputError where a bound is missing.
    """
    started, outer = time.perf_counter(), dict(inputs or {})
    raw = system(network, {key: _box(key, given) for key, given in outer.items()})
    reduced = merge(raw, outer) if merged else unmerged(raw)
    block = pyo.ConcreteModel(name=network.name) if block is None else block
    roots = dict(outer)
    _variables(block, reduced.system, roots)
    block.row = pyo.Constraint(pyo.Any)
    names = set[str]()
    for each in reduced.system.rows:
        name = _fresh(each.name, names)
        body = sum(float(factor) * roots[key] for key, factor in each.terms.items())
        block.row[name] = {"<=": pyo.inequality(None, body, float(each.rhs)), "=": body == float(each.rhs),
                           ">=": pyo.inequality(float(each.rhs), body, None)}[each.relation]
    for given in _outside(reduced.system, outer):
        block.row[_fresh(given[0], names)] = given[1]
    for contradiction in reduced.contradictions:
        block.row[_fresh(contradiction, names)] = pyo.Constraint.Infeasible
    made = Compiled(network, block, reduced.forms, roots, _counts(raw, len(outer)),
                    _after(reduced, len(block.row), outer), reduced.contradictions, 0.0)
    objective = sum(float(factor) * made.expression(key) for key, factor in network.objective.terms.items())
    block.goal = pyo.Objective(expr=objective, sense=pyo.minimize if network.objective.sense == "min" else pyo.maximize)
    return replace(made, seconds=time.perf_counter() - started)


def shown(quantity: Quantity) -> str:
    """A quantity's name in a program, as in ball 0 -> bin 1."""
    return quantity if isinstance(quantity, str) else " -> ".join(quantity)


def _value(variable: Any) -> float:
    if variable.value is not None:
        return float(variable.value)
    low, high = variable.bounds
    return max(low if low is not None else -math.inf, min(high if high is not None else math.inf, 0.0))


def _variables(block: Any, left: System, roots: dict[Quantity, Any]) -> None:
    own = [key for key in left.boxes if key not in roots]
    block.flow = pyo.Var([shown(key) for key in own if key not in left.binaries])
    block.indicator = pyo.Var([shown(key) for key in own if key in left.binaries], domain=pyo.Binary)
    for key in own:
        binary = key in left.binaries
        roots[key] = variable = (block.indicator if binary else block.flow)[shown(key)]
        low, high = left.boxes[key]
        if low <= high:  # else the contradiction is a row
            variable.setlb(math.ceil(low - 1e-9) if binary else None if math.isinf(low) else low)
            variable.setub(math.floor(high + 1e-9) if binary else None if math.isinf(high) else high)


def _outside(left: System, outer: Mapping[Quantity, Any]) -> Iterable[tuple[str, Any]]:
    """Bounds that the network puts on somebody else's variables, as rows, where they are tighter."""
    for key, variable in outer.items():
        low, high = left.boxes.get(key, (-math.inf, math.inf))
        own_low, own_high = variable.bounds
        if low > own_low:
            yield f"{shown(key)}: at least", pyo.inequality(low, variable, None)
        if high < own_high:
            yield f"{shown(key)}: at most", pyo.inequality(None, variable, high)


def _box(key: Quantity, variable: Any) -> Box:
    low, high = variable.bounds
    if low is None or high is None:
        raise InputError("inputs", shown(key), (low, high), "a variable with finite bounds")
    return float(low), float(high)


def _counts(raw: System, outer: int) -> Counts:
    return Counts(len(raw.boxes) - outer, len(raw.binaries), len(raw.rows))


def _after(reduced: Reduced, rows: int, outer: Mapping[Quantity, Any]) -> Counts:
    return Counts(sum(key not in outer for key in reduced.system.boxes), len(reduced.system.binaries), rows)


def _fresh(name: str, taken: set[str]) -> str:
    """The name, numbered if it was taken."""
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name} ({number})"
    taken.add(chosen)
    return chosen

