"""Demand pinning against optimal flow, on any topology, minimising *unmet* demand.

The heuristic pins every demand of at most `threshold` to its shortest path, whatever that blocks, and routes the rest
optimally over what is left. Pinned demands may exceed a link: such an input is infeasible for the heuristic.
Edges of the flows, as heat maps show them: (demand, path), as in ("1>3", "1>2>3"), and (demand, "unmet"). Every edge
is present in `flows`, 0 included. Source: MetaOpt (NSDI 2024); XPlain (HotNets 2024), running example.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from drex_runtime.errors import InputError
from xplain.flow.routing import SNAP, Array, Routing
from xplain.flow.topology import Link, Pair, Topology, five_node, load_topology, paths, route, whole_demands
from xplain.problems.flows import Edge

__all__ = ["Edge", "Link", "PinningResult", "Topology", "certain_edges", "edges", "five_node", "load_topology",
           "optimal", "paths", "pinned"]

UNMET = "unmet"
Demands = Mapping[Pair, int]


@dataclass(frozen=True)
class PinningResult:
    """`unmet` demand in whole units and the flow on every edge.

    Flows split over paths may be fractional at an optimum (`exact_unmet`); a started unit then counts as unmet, on both
    sides, so that a gap in units is never negative and wrong by less than one.
    """

    unmet: int
    flows: dict[Edge, float]
    exact_unmet: float


def edges(topology: Topology, pairs: tuple[Pair, ...], *, limit: int | None = None) -> tuple[Edge, ...]:
    """Every edge that can carry flow: per demand its paths, shortest first, then what is unmet."""
    return tuple(_columns(_routing(topology, tuple(pairs), limit)))


def pinned(topology: Topology, demands: Demands, threshold: int, *, limit: int | None = None) -> PinningResult | None:
    """The heuristic's flow; None if pinned demands exceed a link's capacity or have no path.

    `limit`: paths per demand, shortest first (all by default). Among equally good flows of the rest, one that uses the
    fewest links. Raises InputError, LimitError.
    """
    if threshold < 0:
        raise InputError("demand pinning", "threshold", threshold, "0 or more")
    routing, demand = _asked(topology, demands, limit)
    pins = np.zeros(routing.width)
    for k, amount in enumerate(demand):
        if 0 < amount <= threshold:
            column = routing.shortest[k]
            if column is None:
                return None
            pins[column] = amount
    left = routing.capacity - routing.use @ pins
    if (left < 0).any():
        return None
    least, flow = routing.least_unmet(demand - routing.of @ pins, left)
    return _result(routing, least, flow + pins)


def optimal(topology: Topology, demands: Demands, near: Mapping[Edge, float] | None = None, *,
            limit: int | None = None) -> PinningResult:
    """The flow with the least unmet demand; of all these the one with the least total difference to `near`.

    Without `near`: one that uses the fewest links. Edges that `near` leaves out carry nothing. Raises InputError,
    LimitError.
    """
    routing, demand = _asked(topology, demands, limit)
    least, flow = routing.least_unmet(demand, routing.capacity)
    if near is not None:
        flow = routing.nearest(demand, least, _as_flow(routing, near))
    return _result(routing, least, flow)


def certain_edges(topology: Topology, demands: Demands, heuristic_flows: Mapping[Edge, float],
                  optimum: PinningResult, *, limit: int | None = None) -> frozenset[Edge]:
    """Edges on which every optimal flow differs from the heuristic's.

    `optimum`: any optimal flow; one near the heuristic's leaves the fewest edges to ask about. The optimal flows are
    convex: on an edge where the given one is above the heuristic's, the least over all optimal flows decides.
    """
    routing, demand = _asked(topology, demands, limit)
    ours, theirs = _as_flow(routing, heuristic_flows), _as_flow(routing, optimum.flows)
    found = set[Edge]()
    for column, edge in enumerate(_columns(routing)):
        sign = 1.0 if theirs[column] > ours[column] else -1.0
        if sign * (theirs[column] - ours[column]) <= SNAP:
            continue
        nearest = routing.extreme(demand, optimum.exact_unmet, column, sign)
        if sign * (nearest - ours[column]) > SNAP:
            found.add(edge)
    return frozenset(found)


@lru_cache(maxsize=256)
def _routing(topology: Topology, pairs: tuple[Pair, ...], limit: int | None) -> Routing:
    """Matrices are built once per topology and demand pairs."""
    return Routing(topology, pairs, limit)


def _asked(topology: Topology, demands: Demands, limit: int | None) -> tuple[Routing, Array]:
    whole = whole_demands(topology, demands)
    return _routing(topology, tuple(whole), limit), np.array(list(whole.values()), dtype=np.float64)


def _columns(routing: Routing) -> list[Edge]:
    """The edge of every column, in the columns' order."""
    return [*((route(routing.pairs[k]), route(path)) for k, path in routing.columns),
            *((route(pair), UNMET) for pair in routing.pairs)]


def _result(routing: Routing, least: float, flow: Array) -> PinningResult:
    flows = dict(zip(_columns(routing), flow.tolist(), strict=True))
    return PinningResult(max(0, math.ceil(least - SNAP)), flows, float(flow[routing.num_paths:].sum()))


def _as_flow(routing: Routing, flows: Mapping[Edge, float]) -> Array:
    """Flows by column. InputError for an edge that does not exist or a flow below 0."""
    flow, known = np.zeros(routing.width), {edge: column for column, edge in enumerate(_columns(routing))}
    for edge, amount in flows.items():
        if edge not in known or not 0 <= amount < math.inf:
            raise InputError("flows", "edge", f"{edge}: {amount}", "an edge of `edges(...)` and a flow of at least 0")
        flow[known[edge]] = amount
    return flow
