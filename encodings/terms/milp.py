"""Terms as a Pyomo MILP: every node a variable, every operation linear constraints whose big-M are proved bounds.

Truth values are binaries. Integer nodes that are sums stay expressions; the others get an integer variable within the
node's bounds. A product of two integers is written with the binary digits of the narrower one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pyomo.environ as pyo

from drex_runtime.errors import LimitError
from xplain.encodings.terms.node import Int, Node, Terms, reachable

Expression: TypeAlias = Any  # pyomo's expressions carry no useful types
MAX_COEFFICIENT = 2**30  # times the integrality tolerance of 1e-9 it is still below half a tick


class MilpModel:
    """The Pyomo form of `terms` and of `objective` (None: feasibility).

    Names are those of the terms: variables keep theirs, derived terms with `Terms.name` get theirs, others `t<index>`.
    `contradiction`: the name of a required condition that the bounds alone exclude; None if there is none.
    """

    def __init__(self, terms: Terms, objective: Int | None = None, *, maximize: bool = False) -> None:
        self.terms, self.model = terms, pyo.ConcreteModel()
        self.objective, self.maximize = objective, maximize
        self.contradiction: str | None = None
        self.model.constraints = pyo.ConstraintList()
        self._made: dict[int, Expression] = {}
        self.expression(*(condition for _, condition in terms.required))
        for name, condition in terms.required:
            if condition.value == 0:
                self.contradiction = self.contradiction or name or f"condition {condition.index}"
            else:
                self._add(self._made[condition.index] >= 1)
        goal = self.expression(objective) if objective is not None else 0
        self.model.objective = pyo.Objective(expr=goal, sense=pyo.maximize if maximize else pyo.minimize)

    def expression(self, *roots: Node) -> Expression:
        """The Pyomo expression of the first root; all roots and what they depend on are made once."""
        for node in reachable(roots):
            if node.index not in self._made:
                self._made[node.index] = self._translated(node, [self._made[arg.index] for arg in node.args])
        return self._made[roots[0].index] if roots else None

    @property
    def has_variables(self) -> bool:
        """Whether anything is left to choose."""
        return any(True for _ in self.model.component_data_objects(pyo.Var))

    def variable(self, name: str) -> Any:
        """The Pyomo variable of a variable term, or None if nothing depends on it."""
        return self._made.get(self.terms.variables[name].index)

    def values(self) -> dict[str, int]:
        """The assignment of all variables in the loaded solution, rounded (unused ones at their lower bound)."""
        found: dict[str, int] = {}
        for name, node in self.terms.variables.items():
            made = self._made.get(node.index)
            value = None if made is None else pyo.value(made, exception=False)
            found[name] = node.low if value is None else round(value)
        return found

    # ---- inside -------------------------------------------------------------------------------------------
    def _add(self, constraint: Expression) -> None:
        if constraint is not True:  # pyomo folds what is constant
            self.model.constraints.add(pyo.Constraint.Infeasible if constraint is False else constraint)

    def _check(self, node: Node, low: int, high: int) -> None:
        if max(-low, high) > MAX_COEFFICIENT:
            raise LimitError(f"MILP: {self.terms.names.get(node.index, node)} can reach {max(-low, high)}, beyond "
                             f"{MAX_COEFFICIENT}: a floating-point solver could not tell one tick from none; use a "
                             "coarser quantum, or the SMT method")

    def _new(self, node: Node, *, binary: bool, low: int = 0, high: int = 1, suffix: str = "") -> Any:
        self._check(node, low, high)
        name = self.terms.names.get(node.index) or (str(node.data[0]) if node.op in ("ivar", "bvar") else
                                                    f"t{node.index}")
        made = pyo.Var(domain=pyo.Binary if binary else pyo.Integers, bounds=(low, high))
        self.model.add_component(name + suffix, made)
        return made

    def _translated(self, node: Node, args: list[Expression]) -> Expression:
        match node.op:
            case "const" | "bconst":
                return int(node.data[0])
            case "bvar":
                return self._new(node, binary=True)
            case "ivar":
                return self._new(node, binary=False, low=node.low, high=node.high)
            case "not":
                return 1 - args[0]
            case "sum":
                return int(node.data[0]) + sum(int(factor) * arg
                                               for factor, arg in zip(node.data[1:], args, strict=True))
            case "and" | "or":
                return self._junction(node, args)
            case "le0":
                return self._at_most_zero(node, args[0])
            case "if":
                return self._if(node, args)
            case "table":
                return self._table(node, args[0])
            case "product":
                return self._product(node, args)
            case "quotient":
                return self._quotient(node, args[0])

    def _junction(self, node: Node, args: list[Expression]) -> Expression:
        made = self._new(node, binary=True)
        if node.op == "and":
            for arg in args:
                self._add(made <= arg)
            self._add(made >= sum(args) - (len(args) - 1))
        else:
            for arg in args:
                self._add(made >= arg)
            self._add(made <= sum(args))
        return made

    def _at_most_zero(self, node: Node, part: Expression) -> Expression:
        low, high = node.args[0].low, node.args[0].high
        self._check(node, low, high)
        made = self._new(node, binary=True)
        self._add(part <= high * (1 - made))
        self._add(part >= 1 + (low - 1) * made)
        return made

    def _if(self, node: Node, args: list[Expression]) -> Expression:
        condition, yes, no = args
        _, then, other = node.args
        made = self._new(node, binary=False, low=node.low, high=node.high)
        self._add(made - yes <= max(0, node.high - then.low) * (1 - condition))
        self._add(made - yes >= min(0, node.low - then.high) * (1 - condition))
        self._add(made - no <= max(0, node.high - other.low) * condition)
        self._add(made - no >= min(0, node.low - other.high) * condition)
        return made

    def _table(self, node: Node, index: Expression) -> Expression:
        """One binary per entry, exactly one of them on."""
        first = node.args[0].low
        on = [self._new(node, binary=True, suffix=f"_is{at}") for at in range(first, len(node.data))]
        self._add(sum(on) == 1)
        self._add(sum(at * one for at, one in enumerate(on, first)) == index)
        return sum(int(node.data[at]) * one for at, one in enumerate(on, first))

    def _quotient(self, node: Node, part: Expression) -> Expression:
        made, divisor = self._new(node, binary=False, low=node.low, high=node.high), int(node.data[0])
        self._add(divisor * made <= part)
        self._add(part <= divisor * made + divisor - 1)
        return made

    def _product(self, node: Node, args: list[Expression]) -> Expression:
        """other * (low + digits of the narrower factor)."""
        (narrow, small), (wide, large) = sorted(zip(node.args, args, strict=True),
                                                key=lambda pair: pair[0].high - pair[0].low)
        span, parts, digits = narrow.high - narrow.low, [narrow.low * large], list[Expression]()
        for place in range(span.bit_length()):
            digit = self._new(node, binary=True, suffix=f"_bit{place}")
            part = self._new(node, binary=False, low=min(0, wide.low), high=max(0, wide.high), suffix=f"_part{place}")
            self._add(part <= max(0, wide.high) * digit)
            self._add(part >= min(0, wide.low) * digit)
            self._add(part - large <= -min(0, wide.low) * (1 - digit))
            self._add(part - large >= -max(0, wide.high) * (1 - digit))
            digits.append(digit)
            parts.append(2**place * part)
        self._add(small - narrow.low == sum(2**place * digit for place, digit in enumerate(digits)))
        return sum(parts)
