"""Demand pinning against optimal flow: demands up to a threshold go down their shortest path, whatever that blocks.

Declared distribution: demands independent, whole and uniform from 0 to the largest link's capacity. A gap is the unmet
demand beyond the optimum's, as a share of the total demand. Pinned demands that exceed a link (or have no path) are
infeasible for the heuristic. Source: MetaOpt (NSDI 2024), XPlain (HotNets 2024); mathematics:
`xplain.flow.demand_pinning`.
"""

from __future__ import annotations

import networkx as nx

from drex_runtime.errors import InputError
from xplain.flow.demand_pinning import certain_edges, edges, load_topology, optimal, paths, pinned
from xplain.flow.topology import FIVE_NODE, MAX_CAPACITY, Pair, Topology, check_pair, links_of, route
from xplain.problems.flows import Edge, FlowPair
from xplain.records import Dimension, Point
from xplain.space import Space
from xplain.studies.case import Case, InfeasibleError

PAPER_PAIRS = (("1", "3"), ("1", "2"), ("2", "3"))
MAX_PAIRS = 40


class DemandPinning(Case):
    """Unmet demand under demand pinning and under the optimal flow.

    `topology`: `five-node` (the paper's) or a JSON file. `threshold`: demands of at most this are pinned (default: half
    of `largest`). `demands`: pairs as in `1>3,1>2` (default: the paper's three on its topology, elsewhere every
    connected pair). `largest`: of a demand (default: the largest capacity). `paths`: per demand, shortest first
    (default: all).
    """

    name = "demand-pinning"
    heuristic_name, benchmark_name = "demand pinning", "the optimal flow"
    objective, unit, gap_of, resolution = "unmet demand", "units", "total demand", 1
    threshold = 0.1
    infeasible = "pinned demands exceed a link on their shortest paths, or have no path"

    def __init__(self, topology: str = FIVE_NODE, threshold: int | None = None, demands: str = "",
                 largest: int | None = None, paths: int | None = None) -> None:
        self.topology = load_topology(topology)
        capacity = max(link.capacity for link in self.topology.links)
        self.largest = capacity if largest is None else largest
        if not 1 <= self.largest <= MAX_CAPACITY:
            raise InputError(self.name, "largest", self.largest, f"a whole number from 1 to {MAX_CAPACITY}")
        self.pin = self.largest // 2 if threshold is None else threshold
        if not 0 <= self.pin <= MAX_CAPACITY:
            raise InputError(self.name, "threshold", self.pin, f"a whole number from 0 to {MAX_CAPACITY}")
        if paths is not None and paths < 1:
            raise InputError(self.name, "paths", paths, "1 or more")
        self.limit = paths
        self.pairs = _pairs(self.topology, demands, paper=topology == FIVE_NODE)
        self.dimensions = tuple(Dimension(route(pair), 0, self.largest, integer=True, unit="units",
                                          meaning=f"demand {route(pair)}") for pair in self.pairs)
        self.distribution = f"demands independent, whole, uniform from 0 to {self.largest:,} units"
        self.edges: tuple[Edge, ...] = edges(self.topology, self.pairs, limit=paths)
        self._shortest = {pair: links_of(found[0]) if (found := _paths(self.topology, pair)) else None
                          for pair in self.pairs}
        self._used = tuple(dict.fromkeys(link for path in self._shortest.values() for link in path or ()))
        self._capacity = {link.ends: link.capacity for link in self.topology.links}
        self.meanings = self._meanings()

    def amounts(self, point: Point) -> dict[Pair, int]:
        """The demands at `point`, in whole units."""
        return {pair: int(point[route(pair)]) for pair in self.pairs}

    def accepted(self, space: Space, source: str) -> str:
        """Demands are not negative."""
        for dimension in space.dimensions:
            if dimension.low < 0 or dimension.high > MAX_CAPACITY:
                raise InputError(source, dimension.name, f"{dimension.low} to {dimension.high}",
                                 f"demands from 0 to {MAX_CAPACITY}")
        return super().accepted(space, source)

    def heuristic(self, point: Point) -> float:
        """Unmet demand under demand pinning."""
        found = pinned(self.topology, self.amounts(point), self.pin, limit=self.limit)
        if found is None:
            raise InfeasibleError
        return found.unmet

    def benchmark(self, point: Point) -> float:
        """The least unmet demand."""
        return optimal(self.topology, self.amounts(point), limit=self.limit).unmet

    def per(self, point: Point) -> float:
        """Total demand (without any, there is no gap either)."""
        return max(1, sum(self.amounts(point).values()))

    def flows(self, point: Point) -> FlowPair | None:
        """Flow of every demand on each of its paths; the optimum is the one nearest to the heuristic's flow."""
        demands = self.amounts(point)
        ours = pinned(self.topology, demands, self.pin, limit=self.limit)
        if ours is None:
            return None
        theirs = optimal(self.topology, demands, ours.flows, limit=self.limit)
        return FlowPair(ours.flows, theirs.flows,
                        certain_edges(self.topology, demands, ours.flows, theirs, limit=self.limit))

    def derived(self, point: Point) -> dict[str, float]:
        """Totals, what is pinned, and what shortest paths would put on each link that is on one."""
        demands = self.amounts(point)
        small = {pair: amount for pair, amount in demands.items() if 0 < amount <= self.pin}
        found = {"total": float(sum(demands.values())), "pinned": float(sum(small.values())),
                 "num_pinned": float(len(small)),
                 "pinned_hops": float(sum(amount * len(self._shortest[pair] or ()) for pair, amount in small.items()))}
        excess = []
        for link in self._used:
            on = [pair for pair in self.pairs if link in (self._shortest[pair] or ())]
            load = sum(demands[pair] for pair in on)
            fixed = sum(small.get(pair, 0) for pair in on)
            excess.append(load - self._capacity[link])
            found |= {f"load_{route(link)}": float(load), f"pinned_{route(link)}": float(fixed)}
        found["excess"] = float(max(excess, default=0))
        return found

    def _meanings(self) -> dict[str, tuple[str, str]]:
        found = {"total": ("total demand", "units"), "pinned": ("pinned demand", "units"),
                 "num_pinned": ("number of pinned demands", ""),
                 "pinned_hops": ("pinned demand times links of its shortest path", "units"),
                 "excess": ("most that shortest paths put on a link beyond its capacity", "units")}
        for link in self._used:
            found[f"load_{route(link)}"] = (f"demand with link {route(link)} on its shortest path", "units")
            found[f"pinned_{route(link)}"] = (f"pinned demand on link {route(link)}", "units")
        return found


def _paths(topology: Topology, pair: Pair) -> tuple[tuple[str, ...], ...]:
    return paths(topology, pair, 1)


def _pairs(topology: Topology, text: str, *, paper: bool) -> tuple[Pair, ...]:
    """The pairs of `text`, or the default ones. Raises InputError."""
    if not text:
        if paper:
            return PAPER_PAIRS
        found = [(tail, head) for tail in topology.nodes for head in topology.nodes
                 if tail != head and nx.has_path(topology.graph, tail, head)]
        if not 0 < len(found) <= MAX_PAIRS:
            raise InputError("demand-pinning", "demands", f"{len(found)} connected pairs",
                             f"pairs by name, as in --set demands=1>3,1>2, where not 1 to {MAX_PAIRS} are connected")
        return tuple(found)
    given = [tuple(part.strip() for part in item.split(">")) for item in text.split(",")]
    for pair in given:
        if len(pair) != 2:
            raise InputError("demand-pinning", "demands", text, "pairs of nodes, as in 1>3,1>2")
        check_pair(topology, (pair[0], pair[1]))
    if len(set(given)) != len(given):
        raise InputError("demand-pinning", "demands", text, "each pair once")
    return tuple((pair[0], pair[1]) for pair in given)
