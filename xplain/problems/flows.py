"""Flows of a heuristic and of its benchmark on one input, over named edges: what heat maps are drawn from.

An edge is (tail, head). Both sides use the same edges and units, so that they can be compared edge by edge.
Source: analyzer design, Explanations (edge heat map).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from xplain.problems.interface import Problem
from xplain.records import Point

Edge = tuple[str, str]


@dataclass(frozen=True)
class FlowPair:
    """What flows on each edge; edges left out carry nothing.

    Among the benchmark's optimal flows the one nearest to the heuristic's is given, so that a difference is none of
    the solver's taste. `certain`: edges on which *every* optimal flow differs from the heuristic's ("must"; on the
    others the difference only may be).
    """

    heuristic: Mapping[Edge, float]
    benchmark: Mapping[Edge, float]
    certain: frozenset[Edge] = frozenset()


class FlowProblem(Problem, Protocol):
    """A problem whose two sides can be seen as flows."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge that can carry flow, in the order in which they are listed and drawn."""
        ...

    def flows(self, point: Point) -> FlowPair | None:
        """Both flows at `point`; None where the input is infeasible for the heuristic or the benchmark."""
        ...
