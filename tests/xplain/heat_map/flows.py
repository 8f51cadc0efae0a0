"""Small problems with flows whose heat maps are known beforehand."""

from __future__ import annotations

from collections.abc import Callable

from tests.xplain.synthetic import SyntheticProblem, box, plane
from xplain.problems.flows import Edge, FlowPair
from xplain.records import Point

Flows = Callable[[Point], FlowPair | None]
DETOUR: tuple[Edge, ...] = (("a", "b"), ("b", "d"), ("a", "c"), ("c", "d"), ("d", "e"), ("x", "y"))


class KnownFlows(SyntheticProblem):
    """`known(point)` are the flows."""

    def __init__(self, edges: tuple[Edge, ...], known: Flows) -> None:
        super().__init__(box, plane())
        self.edges, self.known = edges, known

    def flows(self, point: Point) -> FlowPair | None:
        """Both flows."""
        return self.known(point)


def detour(point: Point) -> FlowPair | None:
    """Everything goes a > b > d > e; the benchmark takes a > c > d where `x` is 1, splits where it is 2; 3: infeasible.
    """
    kind = point["x"]
    if kind == 3:
        return None
    direct = {("a", "b"): 4.0, ("b", "d"): 4.0, ("d", "e"): 4.0}
    around = {("a", "c"): 4.0, ("c", "d"): 4.0, ("d", "e"): 4.0}
    if kind == 0:
        return FlowPair(direct, direct)
    if kind == 1:
        return FlowPair(direct, around, frozenset(DETOUR[:4]))
    return FlowPair(direct, {edge: 2.0 for edge in DETOUR[:4]} | {("d", "e"): 4.0, ("x", "y"): 1e-9})


def points(*kinds: int) -> list[dict[str, float]]:
    """One point per kind."""
    return [{"x": float(kind)} for kind in kinds]
