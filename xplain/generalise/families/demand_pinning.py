"""Topologies for demand pinning: how far apart the pinned demand's ends are varies, nodes and links are as many always.

A topology is a random connected core (random tree, then random chords) and an annex of four nodes behind one link,
where no demand begins or ends: no path between two core nodes passes through it, so nothing in it can matter. The
length of the pinned demand's shortest path is drawn first, uniformly; topologies are redrawn until some pair is so far
apart. Node labels, distances in km and the order of demands are drawn as well and mean nothing to either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

import networkx as nx
import numpy as np

from drex_runtime.errors import InputError, LimitError
from xplain.flow.demand_pinning import Link, Topology, optimal, paths, pinned
from xplain.flow.topology import Pair
from xplain.generalise.family import NOT_DEFINED

MAX_DRAWS = 100_000  # of a core with ends so far apart

MEANINGS: dict[str, tuple[str, str]] = {
    "length": ("the length of the pinned demand's shortest path", "links"),
    "nodes": ("the number of nodes", "nodes"),
    "links": ("the number of links", "links"),
    "capacity": ("the mean capacity of the core's links", "units"),
    "disjoint": ("the number of link-disjoint paths between the pinned demand's ends", "paths"),
    "core_triangles": ("the number of triangles in the core", ""),
    "annex_capacity": ("the capacity of the links in the annex", "units"),
    "annex_triangles": ("the number of triangles in the annex", ""),
    "end_labels": ("the sum of the labels of the pinned demand's ends", ""),
    "path_labels": ("the sum of the labels on the pinned demand's shortest path", ""),
    "path_km": ("the distance along the pinned demand's shortest path", "km"),
    "mean_km": ("the mean distance of a link", "km"),
    "position": ("the place of the pinned demand in the list of demands", ""),
    "age": ("the age of the topology", "days"),
}
DECOYS = ("annex_capacity", "annex_triangles", "end_labels", "path_labels", "path_km", "mean_km", "position", "age")


@dataclass(frozen=True)
class Pinning:
    """A topology with its demands' pairs; `small` is the pair whose demand is pinned. `labels` and `km` by node and by
    link, `annex`: names of nodes there."""

    topology: Topology
    pairs: tuple[Pair, ...]
    small: Pair
    labels: Mapping[str, int]
    km: Mapping[Pair, float]
    annex: tuple[str, ...]
    age: float


@dataclass(frozen=True)
class DemandPinningFamily:
    """`core` nodes and `links` (both ways) among them; a demand from end to end of each, both ways, beside the pinned
    one. Response: over `effort` drawn demands, the mean or the largest gap in unmet demand, in units. InputError."""

    core: int = 12
    links: int = 15
    lengths: tuple[int, ...] = (2, 3, 4, 5, 6)
    threshold: int = 50
    effort: int = 8
    statistic: str = "mean"
    name: str = "demand pinning"
    noun: str = "topologies"

    def __post_init__(self) -> None:
        if not self.core - 1 <= self.links <= self.core * (self.core - 1) // 2 or self.core < 3:
            raise InputError(self.name, "links", self.links, f"{self.core - 1} to {self.core * (self.core - 1) // 2}, "
                             f"for {self.core} nodes (at least 3)")
        if not self.lengths or min(self.lengths) < 2 or max(self.lengths) >= self.core:
            raise InputError(self.name, "lengths", self.lengths, f"lengths from 2 (1 has a demand already) to "
                             f"{self.core - 1}")
        if self.statistic not in ("mean", "largest"):
            raise InputError(self.name, "statistic", self.statistic, "mean or largest")
        for field, value in (("threshold", self.threshold), ("effort", self.effort)):
            if value < 1:
                raise InputError(self.name, field, value, "at least 1")

    @property
    def response(self) -> tuple[str, str]:
        """What `respond` returns."""
        return f"the {self.statistic} gap over {self.effort} drawn demands", "units"

    def draw(self, rng: np.random.Generator) -> Pinning:
        """Raises LimitError if no core has ends so far apart."""
        length = int(rng.choice(self.lengths))
        core, ends = self._core(rng, length)
        annex, shape = [self.core + k for k in range(4)], int(rng.integers(0, 2))
        wires = [(0, 1), (1, 2), (2, 0), (2, 3)] if shape else [(0, 1), (1, 2), (2, 3), (3, 0)]
        graph = core.copy()
        graph.add_edges_from((annex[one], annex[other]) for one, other in wires)
        graph.add_edge(int(rng.integers(0, self.core)), annex[int(rng.integers(0, 4))])
        names = [f"{label:02d}" for label in rng.permutation(len(graph))]
        small = names[ends[0]], names[ends[1]]
        chosen = [pair for one, other in rng.permutation(np.array(core.edges)).tolist()
                  for pair in ((names[one], names[other]), (names[other], names[one])) if pair != small]
        chosen.insert(int(rng.integers(0, len(chosen) + 1)), small)
        links, km = list[Link](), dict[Pair, float]()
        for one, other in sorted(graph.edges):
            capacity, distance = int(rng.integers(1, 4)) * self.threshold, float(rng.uniform(1, 1000))
            for pair in ((names[one], names[other]), (names[other], names[one])):
                links.append(Link(*pair, capacity))
                km[pair] = distance
        return Pinning(Topology(tuple(links)), tuple(chosen), small, {name: int(name) for name in names}, km,
                       tuple(names[node] for node in annex), float(rng.uniform(0, 1000)))

    def _core(self, rng: np.random.Generator, length: int) -> tuple[nx.Graph, tuple[int, int]]:
        pairs = list(combinations(range(self.core), 2))
        for _ in range(MAX_DRAWS):
            graph = nx.from_prufer_sequence(rng.integers(0, self.core, self.core - 2).tolist())
            free = [pair for pair in pairs if not graph.has_edge(*pair)]
            chords = rng.choice(len(free), self.links - self.core + 1, replace=False)
            graph.add_edges_from(free[k] for k in chords)
            apart = [(one, other) for one, reached in nx.all_pairs_shortest_path_length(graph)
                     for other, distance in sorted(reached.items()) if distance == length]
            if apart:
                return graph, apart[int(rng.integers(0, len(apart)))]
        raise LimitError(f"demand pinning: no core of {self.core} nodes and {self.links} links with nodes {length} "
                         f"links apart in {MAX_DRAWS:,} draws; take shorter lengths or fewer links")

    def features(self, instance: Pinning) -> dict[str, float]:
        """Those of MEANINGS; DECOYS cannot matter, or not for themselves."""
        whole = instance.topology.graph.to_undirected(as_view=True)
        core = whole.subgraph([node for node in whole if node not in instance.annex])
        annex = whole.subgraph(instance.annex)
        (path,) = paths(instance.topology, instance.small, 1)  # the one that is pinned
        labels = instance.labels
        return {"length": len(path) - 1, "nodes": len(whole), "links": whole.number_of_edges(),
                "capacity": float(np.mean([amount for *_, amount in core.edges.data("capacity")])),
                "disjoint": nx.edge_connectivity(core, *instance.small),
                "core_triangles": sum(nx.triangles(core).values()) / 3,
                "annex_capacity": sum(amount for *_, amount in annex.edges.data("capacity")),
                "annex_triangles": sum(nx.triangles(annex).values()) / 3,
                "end_labels": sum(labels[node] for node in instance.small),
                "path_labels": sum(labels[node] for node in path),
                "path_km": sum(instance.km[pair] for pair in pairwise(path)),
                "mean_km": float(np.mean(list(instance.km.values()))),
                "position": instance.pairs.index(instance.small), "age": instance.age}

    def respond(self, instance: Pinning, seed: int) -> float:
        """Demands: the small one uniform up to the threshold, the others above it, up to three times of it."""
        rng, gaps = np.random.default_rng(seed), list[float]()
        for _ in range(self.effort):
            amounts = rng.integers(self.threshold + 1, 3 * self.threshold + 1, len(instance.pairs))
            demands = dict(zip(instance.pairs, amounts.tolist(), strict=True))
            demands[instance.small] = int(rng.integers(1, self.threshold + 1))
            ours = pinned(instance.topology, demands, self.threshold)
            if ours is not None:
                gaps.append(ours.exact_unmet - optimal(instance.topology, demands).exact_unmet)
        if not gaps:
            return NOT_DEFINED
        return float(np.mean(gaps) if self.statistic == "mean" else np.max(gaps))

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit."""
        return MEANINGS.get(feature, (feature, ""))
