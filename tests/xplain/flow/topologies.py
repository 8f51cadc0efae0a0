"""Small random topologies and demands."""

from __future__ import annotations

import numpy as np

from xplain.flow.topology import Link, Pair, Topology


def random_topology(rng: np.random.Generator) -> Topology:
    """4 to 6 nodes, a third to half of all directed links, some without capacity; it need not be connected."""
    names = [str(node) for node in range(int(rng.integers(4, 7)))]
    ends = [(a, b) for a in names for b in names if a != b]
    chosen = rng.permutation(len(ends))[:max(4, int(len(ends) * rng.uniform(0.25, 0.45)))]
    return Topology(tuple(Link(*ends[k], int(rng.choice((0, 3, 5, 7, 10)))) for k in sorted(chosen)))


def random_demands(rng: np.random.Generator, topology: Topology, most: int = 10) -> dict[Pair, int]:
    """2 to 4 demands between different nodes."""
    pairs = [(a, b) for a in topology.nodes for b in topology.nodes if a != b]
    chosen = rng.permutation(len(pairs))[:int(rng.integers(2, 5))]
    return {pairs[k]: int(rng.integers(0, most + 1)) for k in chosen}
