"""Features of a workload that solvers can read: one definition, computed on numbers or written as terms.

A definition speaks to `Quantities` only. `Counted` answers with arrays over many workloads at once (enumeration, and
single workloads), `Encoded` with terms over an input space (SMT, MILP). Values are quotients of an integer numerator
and a denominator that the shape of the workload fixes, so that comparing with a bound is comparing integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, Literal, Protocol, TypeVar

Number = TypeVar("Number")
Truth = TypeVar("Truth")
Relation = Literal["<=", ">"]
Side = Literal["everywhere", "inside", "outside"]


@dataclass(frozen=True)
class Shape:
    """n requests of T tokens each, K + 1 segments; `grid`: ticks in which arrivals are counted."""

    requests: int
    tokens: int
    num_segments: int
    grid: int


class Quantities(Protocol[Number, Truth]):
    """What definitions are written in. Requests and tokens count from 0."""

    @property
    def shape(self) -> Shape:
        """Size of the workloads."""
        ...

    def early(self, request: int, token: int) -> Number:
        """1 if the token may exit before the last segment, else 0."""
        ...

    def arrival(self, request: int) -> Number:
        """In ticks."""
        ...

    def total(self, parts: Sequence[Number]) -> Number:
        """Sum; 0 of none."""
        ...

    def minus(self, one: Number, other: Number) -> Number:
        """Difference."""
        ...

    def largest(self, parts: Sequence[Number]) -> Number:
        """Maximum of at least one."""
        ...

    def smallest(self, parts: Sequence[Number]) -> Number:
        """Minimum of at least one."""
        ...

    def looked_up(self, index: Number, values: Sequence[int]) -> Number:
        """values[index]."""
        ...

    def at_most(self, part: Number, bound: int) -> Truth:
        """part <= bound."""
        ...

    def every(self, parts: Sequence[Truth]) -> Truth:
        """And; true of none."""
        ...

    def some(self, parts: Sequence[Truth]) -> Truth:
        """Or; false of none."""
        ...

    def negated(self, part: Truth) -> Truth:
        """Not."""
        ...


@dataclass(frozen=True)
class Feature:
    """numerator / denominator, with its meaning and unit in words."""

    name: str
    meaning: str
    unit: str
    numerator: Callable[[Quantities[Any, Any]], Any]
    denominator: Callable[[Shape], int] = lambda shape: 1


@dataclass(frozen=True)
class Condition:
    """`feature <= bound` or `feature > bound`, as regions compare them: the quotient as the nearest double."""

    feature: Feature
    relation: Relation
    bound: float

    def limit(self, shape: Shape) -> int:
        """Largest numerator that is within the bound."""
        denominator = self.feature.denominator(shape)
        found = floor(Fraction(self.bound) * denominator)
        while (found + 1) / denominator <= self.bound:
            found += 1
        while found / denominator > self.bound:
            found -= 1
        return found

    def truth(self, of: Quantities[Number, Truth]) -> Truth:
        """Whether it holds."""
        within = of.at_most(self.feature.numerator(of), self.limit(of.shape))
        return within if self.relation == "<=" else of.negated(within)


@dataclass(frozen=True)
class Where:
    """The part of an input space a claim is about: inside or outside the union of boxes, or everywhere."""

    side: Side = "everywhere"
    boxes: tuple[tuple[Condition, ...], ...] = ()

    def truth(self, of: Quantities[Number, Truth]) -> Truth:
        """Whether a workload belongs to it."""
        if self.side == "everywhere":
            return of.every(())
        union = of.some([of.every([condition.truth(of) for condition in box]) for box in self.boxes])
        return union if self.side == "inside" else of.negated(union)
