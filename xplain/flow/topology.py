"""Topologies: directed links with whole capacities, the paths through them, and their JSON.

    {"schema": "xplain-topology/1", "links": [{"tail": "1", "head": "2", "capacity": 100}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import ClassVar

import networkx as nx
from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import InputError, LimitError, RecordError
from drex_runtime.records.files import parse_record, read_text
from xplain.records import STRICT

SCHEMA = "xplain-topology/1"
FIVE_NODE = "five-node"
MAX_PATHS = 2_000  # per pair; more is an error, not a cut
MAX_CAPACITY = 10**9  # flows are solved in double precision: beyond, a unit could drown

Pair = tuple[str, str]


@dataclass(frozen=True)
class Link:
    """A directed link; `capacity` in whole units of flow, 0 allowed. Raises RecordError."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    tail: str
    head: str
    capacity: int

    def __post_init__(self) -> None:
        for field, name in (("tail", self.tail), ("head", self.head)):
            if not isinstance(name, str) or not name.strip() or ">" in name or not name.isprintable():
                raise RecordError("Link", field, name, "a printable node name without '>'")
        if self.tail == self.head:
            raise RecordError("Link", "head", self.head, "another node than the tail")
        if isinstance(self.capacity, bool) or not isinstance(self.capacity, int) \
                or not 0 <= self.capacity <= MAX_CAPACITY:
            raise RecordError("Link", "capacity", self.capacity, f"a whole number from 0 to {MAX_CAPACITY}")

    @property
    def ends(self) -> Pair:
        """(tail, head)."""
        return self.tail, self.head

    @property
    def name(self) -> str:
        """As in 1>2."""
        return route(self.ends)


@dataclass(frozen=True)
class Topology:
    """Directed links, at most one per (tail, head), and at least one. Raises RecordError."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        seen = set[Pair]()
        if not self.links:
            raise RecordError("Topology", "links", "[]", "at least one link")
        for index, link in enumerate(self.links):
            if link.ends in seen:
                raise RecordError("Topology", f"links.{index}", link.name, "each pair of tail and head once")
            seen.add(link.ends)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Node names in the order in which the links name them."""
        return tuple(dict.fromkeys(node for link in self.links for node in link.ends))

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The links as a networkx graph with edge attribute `capacity`."""
        graph = nx.DiGraph()
        graph.add_edges_from((*link.ends, {"capacity": link.capacity}) for link in self.links)
        return nx.freeze(graph)


def route(nodes: tuple[str, ...] | list[str]) -> str:
    """The name of a demand, link or path: its nodes joined by '>'."""
    return ">".join(nodes)


def links_of(path: tuple[str, ...]) -> tuple[Pair, ...]:
    """The links of a path, in its order."""
    return tuple(pairwise(path))


def paths(topology: Topology, pair: Pair, limit: int | None = None) -> tuple[tuple[str, ...], ...]:
    """Simple paths as node names, shortest first (fewest links, then by name): the first `limit`, or all.

    None are found between nodes that are not connected. InputError for nodes that the topology lacks or a limit below
    1; LimitError if all are asked for and there are more than MAX_PATHS.
    """
    check_pair(topology, pair)
    if limit is not None and limit < 1:
        raise InputError("paths", "limit", limit, "at least 1, or none")
    wanted = MAX_PATHS if limit is None else limit
    found = list[tuple[str, ...]]()
    if not nx.has_path(topology.graph, *pair):
        return ()
    # networkx yields by length in no stated order within a length: gather whole lengths, then sort.
    for path in nx.shortest_simple_paths(topology.graph, *pair):
        if len(found) >= wanted and len(path) > len(found[-1]):
            break
        found.append(tuple(path))
        if len(found) > max(wanted, MAX_PATHS):
            raise LimitError(f"demand {route(pair)}: more than {max(wanted, MAX_PATHS)} simple paths; give a lower "
                             "limit or a smaller topology")
    return tuple(sorted(found, key=lambda path: (len(path), path))[:wanted])


def check_pair(topology: Topology, pair: Pair) -> None:
    """InputError unless the pair names two different nodes of the topology."""
    if len(pair) != 2 or pair[0] == pair[1]:
        raise InputError("demands", route(pair), pair, "two different nodes")
    for node in pair:
        if node not in topology.graph:
            raise InputError("demands", route(pair), node, f"a node of the topology: {', '.join(topology.nodes)}")


def load_topology(path: Path | str) -> Topology:
    """The topology of a JSON file; `five-node` is the paper's, shipped. InputError names file, field and value."""
    if str(path) == FIVE_NODE:
        text = files("xplain.flow").joinpath("data", f"{FIVE_NODE}.json").read_text("utf-8")
        return parse_record(text, f"{FIVE_NODE} (shipped)", SCHEMA, TypeAdapter(Topology))
    return parse_record(read_text(Path(path)), str(path), SCHEMA, TypeAdapter(Topology))


def five_node() -> Topology:
    """The paper's topology: 1>2>3 with capacity 100, 1>4>5>3 with 50."""
    return load_topology(FIVE_NODE)


def whole_demands(topology: Topology, demands: Mapping[Pair, int]) -> dict[Pair, int]:
    """The demands as ints, checked. InputError for a pair without nodes, a fraction, a negative or huge number."""
    found = dict[Pair, int]()
    for pair, given in demands.items():
        check_pair(topology, pair)
        if isinstance(given, bool) or not isinstance(given, Integral) or not 0 <= int(given) <= MAX_CAPACITY:
            raise InputError("demands", route(pair), given, f"a whole number from 0 to {MAX_CAPACITY}")
        found[pair] = int(given)
    if not found:
        raise InputError("demands", "pairs", "none", "at least one demand")
    return found
