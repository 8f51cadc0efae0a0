"""A concrete network: nodes with behaviours, edges with bounds, rules over them, and what is to be optimised.

What flows is named by its edge (tail, head); what a source supplies by (OUTSIDE, node), what a sink absorbs by (node,
OUTSIDE). Indicators of the rule layer are named by texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, TypeAlias, TypeVar

import networkx as nx

from drex_runtime.errors import RecordError
from xplain.flow.behaviour import Behaviour, Number, Sink, Source, check_bounds, label
from xplain.flow.rules import Condition, Quantity, Rule
from xplain.problems.flows import Edge

OUTSIDE = "outside"
Metadata: TypeAlias = Mapping[str, object]
NOTHING: Metadata = MappingProxyType({})
B = TypeVar("B", Source, Sink)


@dataclass(frozen=True)
class Node:
    """A node, what it does with flow, and what else is to be known of it. Raises RecordError."""

    name: str
    behaviours: tuple[Behaviour, ...] = ()
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or self.name == OUTSIDE:
            raise RecordError("Node", "name", self.name, f"a name other than {OUTSIDE!r}")
        kinds = [label(each) for each in self.behaviours]
        if len(set(kinds)) < len(kinds):
            raise RecordError("Node", f"{self.name}.behaviours", kinds, "each behaviour at most once")

    def find(self, kind: type[B]) -> B | None:
        """Its source or sink, if it is one."""
        return next((each for each in self.behaviours if isinstance(each, kind)), None)


@dataclass(frozen=True)
class Arc:
    """An edge with bounds on its flow: at least 0 unless said otherwise, no capacity unless given."""

    tail: str
    head: str
    lower: Number = 0
    upper: Number = math.inf
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bounds(f"Arc {self.tail} -> {self.head}", self.lower, self.upper)

    @property
    def edge(self) -> Edge:
        """Its name."""
        return self.tail, self.head


@dataclass(frozen=True)
class Objective:
    """Minimise or maximise a weighted sum of flows and indicators; without terms any flow will do."""

    sense: Literal["min", "max"] = "min"
    terms: Mapping[Quantity, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """Nodes, edges (at most one per tail and head), rules and objective; checked on construction (RecordError)."""

    name: str
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]
    rules: tuple[Rule, ...] = ()
    objective: Objective = Objective()

    def __post_init__(self) -> None:
        names, seen = set[str](), set[Edge]()
        for node in self.nodes:
            if node.name in names:
                raise RecordError(f"Network {self.name}", "nodes", node.name, "each name once")
            names.add(node.name)
        for arc in self.arcs:
            for end in arc.edge:
                if end not in names:
                    raise RecordError(f"Network {self.name}", f"arcs {arc.tail} -> {arc.head}", end, "a node")
            if arc.edge in seen:
                raise RecordError(f"Network {self.name}", "arcs", f"{arc.tail} -> {arc.head}", "each edge once")
            seen.add(arc.edge)
        known: set[Quantity] = {*self.bounds}
        for rule in self.rules:
            self._check_uses(rule.name, rule.uses(), known)
            for name in rule.indicators():
                if name in known:
                    raise RecordError(f"Network {self.name}", "rules", name, "each name once")
                known.add(name)
        self._check_uses("objective", frozenset(self.objective.terms), known)

    def _check_uses(self, where: str, quantities: frozenset[Quantity], known: set[Quantity]) -> None:
        for quantity in quantities - known:
            raise RecordError(f"Network {self.name}", where, quantity, "an edge, a source's supply, a sink's flow or "
                                                                       "an indicator of an earlier rule")

    @cached_property
    def bounds(self) -> dict[Edge, tuple[Number, Number]]:
        """Lower and upper bound of everything that flows: edges in order, then supplies and what sinks absorb."""
        found = {arc.edge: (arc.lower, arc.upper) for arc in self.arcs}
        for node in self.nodes:
            for end in (node.find(Source), node.find(Sink)):
                if end is not None:
                    edge = supply(node.name) if isinstance(end, Source) else absorbed(node.name)
                    found[edge] = (end.lower, end.upper)
        return found

    @cached_property
    def incident(self) -> dict[str, tuple[tuple[Edge, ...], tuple[Edge, ...]]]:
        """(incoming, outgoing) edges of each node, in the order of the arcs; without supplies and sinks."""
        ins: dict[str, list[Edge]] = {node.name: [] for node in self.nodes}
        outs: dict[str, list[Edge]] = {node.name: [] for node in self.nodes}
        for arc in self.arcs:
            outs[arc.tail].append(arc.edge)
            ins[arc.head].append(arc.edge)
        return {name: (tuple(ins[name]), tuple(outs[name])) for name in ins}

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """Conditions by name."""
        return {rule.name: rule for rule in self.rules if isinstance(rule, Condition)}

    @cached_property
    def graph(self) -> nx.DiGraph:
        """As a networkx graph: `behaviours` (labels) and metadata on nodes, `lower`, `upper` and metadata on edges."""
        graph = nx.DiGraph(name=self.name)
        for node in self.nodes:
            graph.add_node(node.name, behaviours=tuple(label(each) for each in node.behaviours), **node.metadata)
        for arc in self.arcs:
            graph.add_edge(arc.tail, arc.head, lower=arc.lower, upper=arc.upper, **arc.metadata)
        return nx.freeze(graph)


def supply(node: str) -> Edge:
    """What a source supplies."""
    return OUTSIDE, node


def absorbed(node: str) -> Edge:
    """What a sink absorbs."""
    return node, OUTSIDE

