"""The rule layer: conditions with indicators, if-then, and a priority order among edges.

A condition is true or false of a flow, with nothing between: `step` says how finely the quantities in it are grained
(1 for whole numbers). Its indicator (named by the condition) is 1 where it holds, else 0, and may appear in other
rules and in the objective; a use-indicator is a condition of this kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drex_runtime.errors import RecordError
from xplain.flow.behaviour import Number
from xplain.problems.flows import Edge

Quantity: TypeAlias = Edge | str  # a flow, or an indicator by name
Relation = Literal["<=", "=", ">="]
Terms: TypeAlias = Mapping[Quantity, Number]


@dataclass(frozen=True)
class Condition:
    """`terms` >= `bound` (or <=); where it does not hold, `terms` is beyond `bound` by at least `step`."""

    name: str
    terms: Terms
    relation: Literal["<=", ">="]
    bound: Number
    step: Number = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.bound):
            raise RecordError(f"Condition {self.name}", "bound", self.bound, "a finite number")
        if not 0 < self.step < math.inf:
            raise RecordError(f"Condition {self.name}", "step", self.step, "above 0: the grain of the quantities")

    def indicators(self) -> tuple[str, ...]:
        """The binaries that this rule brings."""
        return (self.name,)

    def uses(self) -> frozenset[Quantity]:
        """Everything it refers to."""
        return frozenset(self.terms)


@dataclass(frozen=True)
class IfThen:
    """If all conditions (by name) in `when` hold, then `terms` {<=, =, >=} `rhs`."""

    name: str
    when: tuple[str, ...]
    terms: Terms
    relation: Relation
    rhs: Number

    def indicators(self) -> tuple[str, ...]:
        """None."""
        return ()

    def uses(self) -> frozenset[Quantity]:
        """Everything it refers to."""
        return frozenset(self.terms) | frozenset(self.when)


@dataclass(frozen=True)
class Choice:
    """An edge that may be taken if all conditions (by name) in `when` hold."""

    edge: Edge
    when: tuple[str, ...]


@dataclass(frozen=True)
class Priority:
    """Of all choices, in their order, only the first that may be taken carries flow; none if none may."""

    name: str
    choices: tuple[Choice, ...]

    def may(self, index: int) -> str:
        """The indicator of all conditions of a choice."""
        edge = self.choices[index].edge
        return f"{self.name}: {edge[0]} -> {edge[1]} may"

    def indicators(self) -> tuple[str, ...]:
        """One for each choice: all its conditions hold."""
        return tuple(self.may(index) for index in range(len(self.choices)))

    def uses(self) -> frozenset[Quantity]:
        """Everything it refers to."""
        return frozenset(each.edge for each in self.choices) | {name for each in self.choices for name in each.when}


Rule: TypeAlias = Condition | IfThen | Priority


def used(name: str, edges: Iterable[Edge], *, least: Number = 1) -> Condition:
    """A use-indicator: 1 if the edges carry `least` or more together, 0 if they carry nothing; nothing between."""
    return Condition(name, dict.fromkeys(edges, 1), ">=", least, least)
