"""Terms as z3 expressions (linear integer arithmetic, but for products of two variables)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import z3

from xplain.encodings.terms.node import Node, Terms, reachable

Expression: TypeAlias = Any  # z3's Python classes carry no useful types
LEGACY_SIMPLEX = 2  # half the time of z3's newer arithmetic here


class SmtModel:
    """The z3 form of `terms`: a solver that holds variables' bounds and all that is required.

    `expression(node)` translates further nodes; `values(model)` reads an assignment of the variables, `read` any node.
    """

    def __init__(self, terms: Terms, *, seed: int = 0) -> None:
        self.terms = terms
        self.solver = z3.SimpleSolver()  # 5 times as fast on time-stepped machines as z3.Solver() with its tactics
        self.solver.set("random_seed", seed)
        self.solver.set("arith.solver", LEGACY_SIMPLEX)
        self._made: dict[int, Expression] = {}
        self.add(condition for _, condition in terms.required)

    def add(self, conditions: Iterable[Node]) -> None:
        """Require further conditions (within the current `push`)."""
        for condition in conditions:
            self.solver.add(self.expression(condition))

    def expression(self, root: Node) -> Expression:
        """The z3 expression of a node; what it depends on is made once."""
        for node in reachable([root]):
            if node.index not in self._made:
                self._made[node.index] = self._translated(node, [self._made[arg.index] for arg in node.args])
        return self._made[root.index]

    def values(self, model: Expression) -> dict[str, int]:
        """The assignment of all variables (those that z3 left open at their lower bound)."""
        found: dict[str, int] = {}
        for name, node in self.terms.variables.items():
            made = self._made.get(node.index)
            found[name] = node.low if made is None else _number(model.eval(made, model_completion=True), node.low)
        return found

    def _translated(self, node: Node, args: list[Expression]) -> Expression:
        match node.op:
            case "const":
                return z3.IntVal(node.data[0])
            case "bconst":
                return z3.BoolVal(bool(node.data[0]))
            case "bvar":
                return z3.Bool(str(node.data[0]))
            case "ivar":
                made = z3.Int(str(node.data[0]))
                self.solver.add(made >= node.low, made <= node.high)
                return made
            case "sum":
                parts = [int(factor) * _as_number(arg) for factor, arg in zip(node.data[1:], args, strict=True)]
                return z3.Sum([z3.IntVal(node.data[0]), *parts])
            case "if":
                return z3.If(args[0], args[1], args[2])
            case "product":
                return args[0] * args[1]
            case "quotient":
                return args[0] / node.data[0]  # z3 divides integers rounding down for a positive divisor
            case "table":
                return _table(args[0], [int(value) for value in node.data], node.args[0].low)
            case "not":
                return z3.Not(args[0])
            case "and":
                return z3.And(args)
            case "or":
                return z3.Or(args)
            case "le0":
                return args[0] <= 0


def _as_number(made: Expression) -> Expression:
    return z3.If(made, z3.IntVal(1), z3.IntVal(0)) if z3.is_bool(made) else made


def _table(index: Expression, values: list[int], first: int) -> Expression:
    made = z3.IntVal(values[-1])
    for at in range(len(values) - 2, first - 1, -1):
        if values[at] != values[at + 1]:
            made = z3.If(index <= at, z3.IntVal(values[at]), made)
    return made


def _number(value: Expression, otherwise: int) -> int:
    if z3.is_bool(value):
        return int(z3.is_true(value))
    return int(value.as_long()) if z3.is_int_value(value) else otherwise
