"""What a node does with flow. Seven behaviours; a node may combine several, each then holds.

`ins` of a node: its incoming edges and, of a source, its supply; `outs`: its outgoing edges and, of a sink, what it
absorbs. Nothing else is implied: a node without behaviours ties nothing, an edge has the bounds it is given.
Source: XPlain (HotNets 2024), flow-network DSL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from drex_runtime.errors import RecordError

Number: TypeAlias = int | float | Fraction


@dataclass(frozen=True)
class Split:
    """Conservation: the sum of ins equals the sum of outs."""


@dataclass(frozen=True)
class Pick:
    """Conservation, and at most one of the outs carries flow."""


@dataclass(frozen=True)
class Copy:
    """Every out carries the sum of ins."""


@dataclass(frozen=True)
class Multiply:
    """Every out carries `factor` times the sum of ins."""

    factor: Number

    def __post_init__(self) -> None:
        if not math.isfinite(self.factor):
            raise RecordError("Multiply", "factor", self.factor, "a finite number")


@dataclass(frozen=True)
class AllEqual:
    """All ins and outs carry the same."""


@dataclass(frozen=True)
class Source:
    """Flow from outside, `lower`..`upper` (equal: fixed; infinite: no bound).

    It is one of the ins of the other behaviours; if there is none of these, it is what leaves by the edges.
    """

    lower: Number = 0
    upper: Number = math.inf

    def __post_init__(self) -> None:
        check_bounds("Source", self.lower, self.upper)


@dataclass(frozen=True)
class Sink:
    """Flow to outside, `lower`..`upper` (upper: a capacity).

    It is one of the outs of the other behaviours; if there is none of these, it is all that comes in by the edges.
    """

    lower: Number = 0
    upper: Number = math.inf

    def __post_init__(self) -> None:
        check_bounds("Sink", self.lower, self.upper)


Behaviour: TypeAlias = Split | Pick | Copy | Multiply | AllEqual | Source | Sink
LABELS: dict[type, str] = {Split: "split", Pick: "pick", Copy: "copy", Multiply: "multiply", AllEqual: "all_equal",
                           Source: "source", Sink: "sink"}


def label(behaviour: Behaviour) -> str:
    """The name of a behaviour, as in all_equal."""
    return LABELS[type(behaviour)]


def check_bounds(record: str, lower: Number, upper: Number) -> None:
    """RecordError unless lower <= upper and each is a number that can bound something."""
    if not (lower <= upper and lower < math.inf and upper > -math.inf):
        raise RecordError(record, "bounds", f"{lower}..{upper}", "numbers with lower <= upper")
