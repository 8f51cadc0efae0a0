"""Demand pinning and optimal flow as networks: the definition that `demand_pinning` evaluates.

Demands are sources that are split over paths and what stays unmet; a path copies its flow onto each of its links, which
absorb at most their capacity. What a link absorbs counts a two-hop path twice, so *unmet* demand is minimised. The
heuristic adds rules: a demand that is small is pinned to its shortest path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from xplain.flow.behaviour import Copy, Sink, Source, Split
from xplain.flow.describe import Description, Family, Relation, member
from xplain.flow.network import Objective, absorbed, supply
from xplain.flow.rules import Condition, IfThen, Rule
from xplain.flow.topology import Pair, Topology, paths, route
from xplain.problems.flows import Edge

UNMET = "unmet"
TOTAL = member(UNMET, "demand")


@dataclass(frozen=True)
class Case:
    """One instance. `demands`: least and largest value per pair (equal: fixed). `threshold` None: optimal flow.

    `limit`: paths per demand, all by default.
    """

    topology: Topology
    demands: Mapping[Pair, tuple[int, int]]
    threshold: int | None = None
    limit: int | None = None

    def paths(self, pair: Pair) -> tuple[tuple[str, ...], ...]:
        """Of a demand, shortest first."""
        return paths(self.topology, pair, self.limit)

    def pair(self, name: str) -> Pair:
        """A demand by the name of its node."""
        tail, head = name.split(">")
        return tail, head


def fixed(topology: Topology, demands: Mapping[Pair, int], threshold: int | None = None,
          limit: int | None = None) -> Case:
    """The instance with these demands."""
    return Case(topology, {pair: (amount, amount) for pair, amount in demands.items()}, threshold, limit)


def demand_edge(pair: Pair) -> Edge:
    """What carries the amount of a demand: its source's supply."""
    return supply(member("demand", route(pair)))


def is_small(pair: Pair) -> str:
    """The indicator of a demand of at most the threshold."""
    return f"demand {route(pair)} is small"


def heat_edges(case: Case) -> dict[Edge, Edge]:
    """The edges that heat maps show, by their edges in the network."""
    found = dict[Edge, Edge]()
    for pair in case.demands:
        name = route(pair)
        for path in case.paths(pair):
            found[member("demand", name), member("path", route(path))] = (name, route(path))
        found[member("demand", name), TOTAL] = (name, UNMET)
    return found


def _rules(case: Case) -> list[Rule]:
    rules = list[Rule]()
    if case.threshold is None:
        return rules
    for pair in case.demands:
        demand, small = demand_edge(pair), is_small(pair)
        rules.append(Condition(small, {demand: 1}, "<=", case.threshold))
        routes, name = case.paths(pair), f"demand {route(pair)} is pinned"
        if routes:
            shortest = (member("demand", route(pair)), member("path", route(routes[0])))
            rules.append(IfThen(name, (small,), {shortest: 1, demand: -1}, ">=", 0))
        else:  # nowhere to pin it
            rules.append(IfThen(name, (small,), {demand: 1}, "<=", 0))
    return rules


PINNING: Description[Case] = Description(
    "demand pinning",
    (Family("demand", lambda case: map(route, case.demands),
            lambda case, name: (Source(*case.demands[case.pair(name)]), Split()),
            lambda case, name: {"hops": len(found[0]) - 1 if (found := case.paths(case.pair(name))) else None}),
     Family("path", lambda case: (route(path) for pair in case.demands for path in case.paths(pair)),
            lambda _, __: (Copy(),), lambda _, name: {"hops": name.count(">")}),
     Family("link", lambda case: (link.name for link in case.topology.links),
            lambda case, name: (Sink(0, next(link.capacity for link in case.topology.links if link.name == name)),),
            lambda case, name: {"capacity": next(link.capacity for link in case.topology.links if link.name == name)}),
     Family(UNMET, lambda _: ("demand",), lambda _, __: (Sink(),))),
    (Relation("demand", "path", lambda case: ((route(pair), route(path)) for pair in case.demands
                                              for path in case.paths(pair))),
     Relation("demand", UNMET, lambda case: ((route(pair), "demand") for pair in case.demands)),
     Relation("path", "link", lambda case: ((route(path), route(link)) for pair in case.demands
                                            for path in case.paths(pair) for link in pairwise(path)))),
    _rules,
    lambda _: Objective("min", {absorbed(TOTAL): 1}))
