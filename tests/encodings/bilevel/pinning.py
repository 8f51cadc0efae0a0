"""Demand pinning on small topologies: the heuristic and the optimal flow as followers of the demands.

Every demand of at most `threshold` is pinned to its shortest path, whatever that blocks; the rest is routed optimally
over all simple paths in what is left. Inputs whose pinned demands exceed a link are infeasible for the heuristic and
left out. Inputs of the leader: the demands, then their pinned parts. Source: MetaOpt (NSDI 2024), demand pinning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pyomo.environ as pyo

from xplain.encodings.bilevel import Choice, Follower, Method, Program, choice, follower, gap_program, quantise

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pinning:
    """Directed links with capacities, demands as node pairs within 0..`most`, and the threshold for pinning."""

    links: Mapping[Pair, float]
    demands: Sequence[Pair]
    threshold: float
    most: float

    def paths(self, demand: Pair) -> list[list[Pair]]:
        """All simple paths as links, the shortest (fewest links, then by name) first."""
        graph = nx.DiGraph(list(self.links))
        found = [list(path) for path in nx.all_simple_paths(graph, *demand)]
        return [list(pairwise(path)) for path in sorted(found, key=lambda path: (len(path), path))]

    def pinned(self, demand: float) -> float:
        """The part of a demand that is pinned."""
        return demand if demand <= self.threshold else 0.0

    def followers(self) -> tuple[Follower, Follower]:
        """Benchmark and heuristic, both maximising the flow carried.

        Pinned parts are taken off capacities and demands, so that the rest is a packing LP whose duals are at most 1.
        """
        count = len(self.demands)
        flows = [(k, path) for k, demand in enumerate(self.demands) for path in self.paths(demand)]
        matrix = np.array([[float(link in path) for _, path in flows] for link in self.links]
                          + [[float(of == k) for of, _ in flows] for k in range(count)])
        rhs = np.array([*self.links.values(), *([0.0] * count)])
        names = tuple(f"capacity {a}>{b}" for a, b in self.links) + tuple(f"demand {a}>{b}" for a, b in self.demands)
        asked = np.vstack([np.zeros((len(self.links), count)), np.eye(count)])
        blocked = np.array([[float(link in self.paths(demand)[0]) for demand in self.demands] for link in self.links])
        pins = -np.vstack([blocked, np.eye(count)])
        profit, nothing = np.ones(len(flows)), np.zeros_like(pins)
        return (follower("optimal", "max", profit, matrix, "<=", rhs, np.hstack([asked, nothing]), row_names=names),
                follower("pinning", "max", profit, matrix, "<=", rhs, np.hstack([asked, pins]), row_names=names,
                         constant_leader=np.repeat([0.0, 1.0], count)))

    def choices(self, levels: Sequence[float]) -> list[Choice]:
        """The same levels for every demand; its pinned part follows from the level."""
        count = len(self.demands)
        return [choice((k, count + k), [(level, self.pinned(level)) for level in levels]) for k in range(count)]

    def program(self, method: Method, levels: Sequence[float] | None = None, *, resolution: float = 1.0) -> Program:
        """The gap program. Without levels demands are continuous, but none lies within threshold..threshold +
        resolution: a demand just above the threshold is not told from one on it by a floating-point solver."""
        model, count = pyo.ConcreteModel(), len(self.demands)
        model.demand = pyo.Var(range(count), bounds=(0, self.most))
        model.pinned = pyo.Var(range(count), bounds=(0, self.threshold))
        leaders: list[Any] = [*model.demand.values(), *model.pinned.values()]
        if levels is not None:
            return gap_program(model, leaders, *self.followers(), method=method, levels=quantise(model, leaders,
                                                                                              self.choices(levels)))
        model.small = pyo.Var(range(count), domain=pyo.Binary)
        model.rule = pyo.ConstraintList()
        for k in range(count):
            demand, pinned, small = model.demand[k], model.pinned[k], model.small[k]
            model.rule.add(demand <= self.threshold * small + self.most * (1 - small))
            model.rule.add(demand >= (self.threshold + resolution) * (1 - small))
            model.rule.add(pinned <= self.threshold * small)
            model.rule.add(pinned <= demand)
            model.rule.add(pinned >= demand - self.most * (1 - small))
        return gap_program(model, leaders, *self.followers(), method=method)


def with_pins(demands: Sequence[float], problem: Pinning) -> np.ndarray:
    """The leader's inputs for these demands."""
    return np.array([*demands, *(problem.pinned(each) for each in demands)])
