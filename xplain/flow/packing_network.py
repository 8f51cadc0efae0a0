"""First fit and optimal packing as networks: the definition that `first_fit` evaluates.

A ball is a unit source that picks a place, one per bin; a place copies its unit to one multiplication by size per
dimension, which loads the bin in that dimension. A use-indicator per bin counts bins. First fit adds rules: for every
ball a priority order among bins, each open if the ball fits beside those placed before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xplain.flow.behaviour import Copy, Multiply, Pick, Sink, Source
from xplain.flow.describe import Description, Family, Relation, member
from xplain.flow.network import Objective
from xplain.flow.rules import Choice, Condition, Priority, Quantity, Rule, used
from xplain.problems.flows import Edge


@dataclass(frozen=True)
class Case:
    """One instance: sizes (balls, dimensions), capacity of every bin, how many bins there are.

    `order`: first fit placing balls in this order; None: any packing, so the optimum.
    """

    sizes: tuple[tuple[int, ...], ...]
    capacity: tuple[int, ...]
    num_bins: int
    order: tuple[int, ...] | None = None

    def places(self) -> list[tuple[int, int]]:
        """Every ball in every bin."""
        return [(ball, bin_) for ball in range(len(self.sizes)) for bin_ in range(self.num_bins)]


def place(ball: int, bin_: int) -> Edge:
    """The edge that carries a unit if the ball is in the bin."""
    return member("ball", str(ball)), member("place", _in(ball, bin_))


def is_used(bin_: int) -> str:
    """The indicator of a bin with a ball in it."""
    return f"bin {bin_} is used"


def packing(case: Case, values: Mapping[Quantity, float]) -> tuple[int, ...]:
    """The bin of each ball in a solution."""
    return tuple(max(range(case.num_bins), key=lambda bin_: values[place(ball, bin_)])
                 for ball in range(len(case.sizes)))


def _in(ball: int, bin_: int) -> str:
    return f"{ball} in {bin_}"


def _weight(ball: int, bin_: int, dimension: int) -> str:
    return f"{_in(ball, bin_)} dimension {dimension}"


def _load(bin_: int, dimension: int) -> str:
    return f"{bin_} dimension {dimension}"


def _numbers(name: str) -> list[int]:
    return [int(word) for word in name.split() if word.isdigit()]


def _rules(case: Case) -> list[Rule]:
    rules: list[Rule] = [used(is_used(bin_), [place(ball, bin_) for ball in range(len(case.sizes))])
                         for bin_ in range(case.num_bins)]
    for at, ball in enumerate(case.order or ()):
        choices = list[Choice]()
        for bin_ in range(case.num_bins):
            fits = list[str]()
            for dimension, room in enumerate(case.capacity):
                fits.append(f"ball {ball} fits bin {bin_} dimension {dimension}")
                before: dict[Quantity, int] = {place(other, bin_): case.sizes[other][dimension]
                                               for other in (case.order or ())[:at]}
                rules.append(Condition(fits[-1], before, "<=", room - case.sizes[ball][dimension]))
            choices.append(Choice(place(ball, bin_), tuple(fits)))
        rules.append(Priority(f"ball {ball} first fit", tuple(choices)))
    return rules


PACKING: Description[Case] = Description(
    "packing",
    (Family("ball", lambda case: map(str, range(len(case.sizes))), lambda _, __: (Source(1, 1), Pick()),
            lambda case, name: {"size": case.sizes[int(name)]}),
     Family("place", lambda case: (_in(*each) for each in case.places()), lambda _, __: (Copy(),)),
     Family("weight", lambda case: (_weight(*each, k) for each in case.places() for k in range(len(case.capacity))),
            lambda case, name: (Multiply(case.sizes[_numbers(name)[0]][_numbers(name)[2]]),)),
     Family("bin", lambda case: (_load(bin_, k) for bin_ in range(case.num_bins) for k in range(len(case.capacity))),
            lambda case, name: (Sink(0, case.capacity[_numbers(name)[1]]),))),
    (Relation("ball", "place", lambda case: ((str(ball), _in(ball, bin_)) for ball, bin_ in case.places())),
     Relation("place", "weight", lambda case: ((_in(*each), _weight(*each, k)) for each in case.places()
                                               for k in range(len(case.capacity)))),
     Relation("weight", "bin", lambda case: ((_weight(ball, bin_, k), _load(bin_, k)) for ball, bin_ in case.places()
                                             for k in range(len(case.capacity))))),
    _rules,
    lambda case: Objective("min", {is_used(bin_): 1 for bin_ in range(case.num_bins)}))
