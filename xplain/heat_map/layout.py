"""Layers for a network drawn from left to right: every edge leads to a later layer, long ones over bends in between.

Cycles are broken first (edges that lead back to a node on the current depth-first path are drawn backwards), layers are
longest paths from the sources, and nodes are sorted by where their neighbours are until few edges cross.
Source: Sugiyama, Tagawa, Toda 1981 (barycentres); deterministic in the order of the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from xplain.problems.flows import Edge

SWEEPS = 12
Place = tuple[str, int]  # a node, or bend k >= 0 of edge number `name`
NODE, COPY = -2, -1  # k of a node; of its copy, to which an edge from the node to itself leads


@dataclass(frozen=True)
class Layout:
    """`layers`: places from left to right, from top to bottom. `routes`: per edge its places from tail to head."""

    layers: tuple[tuple[Place, ...], ...]
    routes: tuple[tuple[Place, ...], ...]


def layered(edges: Sequence[Edge]) -> Layout:
    """Lay out the nodes of `edges`. An edge from a node to itself leads to a copy of the node: where demands and paths
    share names, as in ("1>2", "1>2"), the two are what is meant."""
    ends: list[tuple[Place, Place]] = [((tail, NODE), (head, COPY if tail == head else NODE)) for tail, head in edges]
    nodes = list(dict.fromkeys(node for edge in ends for node in edge))
    backward = _backward(nodes, ends)
    forward = [(edge[1], edge[0]) if edge in backward else edge for edge in ends]
    level = _levels(nodes, forward)
    layers: list[list[Place]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for node in nodes:
        layers[level[node]].append(node)
    routes: list[tuple[Place, ...]] = []
    links: list[tuple[Place, Place]] = []
    for number, (edge, (tail, head)) in enumerate(zip(ends, forward, strict=True)):
        bends = [(str(number), k) for k in range(level[tail] + 1, level[head])]
        for bend in bends:
            layers[bend[1]].append(bend)
        way = [tail, *bends, head]
        links += pairwise(way)
        routes.append(tuple(reversed(way)) if edge in backward else tuple(way))
    return Layout(tuple(map(tuple, _sorted(layers, links))), tuple(routes))


def _backward(nodes: Sequence[Place], edges: Sequence[tuple[Place, Place]]) -> set[tuple[Place, Place]]:
    """Edges that close a cycle, seen by a depth-first walk that begins at sources."""
    after: dict[Place, list[Place]] = {node: [] for node in nodes}
    heads: set[Place] = set()
    for tail, head in edges:
        after[tail].append(head)
        heads.add(head)
    found: set[tuple[Place, Place]] = set()
    finished: set[Place] = set()
    for root in sorted(nodes, key=lambda node: node in heads):
        path, stack = [root], [iter(after[root])]
        while stack:
            node = path[-1]
            following = None if node in finished else next(stack[-1], None)
            if following is None:
                finished.add(path.pop())
                stack.pop()
            elif following in path:
                found.add((node, following))
            elif following not in finished:
                path.append(following)
                stack.append(iter(after[following]))
    return found


def _levels(nodes: Sequence[Place], edges: Sequence[tuple[Place, Place]]) -> dict[Place, int]:
    """Longest path from a source, in edges."""
    level = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for tail, head in edges:
            if level[head] <= level[tail]:
                level[head], changed = level[tail] + 1, True
        if not changed:
            break
    # A source stands right before its nearest successor.
    for tail in nodes:
        behind = [level[head] for other, head in edges if other == tail]
        if behind and all(head != tail for _, head in edges):
            level[tail] = min(behind) - 1
    return level


def _sorted(layers: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> list[list[Place]]:
    """Each layer by the mean position of its neighbours, from left to right and back, keeping the best order seen."""
    before: dict[Place, list[Place]] = {place: [] for layer in layers for place in layer}
    behind: dict[Place, list[Place]] = {place: [] for place in before}
    for left, right in links:
        before[right].append(left)
        behind[left].append(right)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, behind)
    for sweep in range(SWEEPS):
        order, around = (layers, before) if sweep % 2 == 0 else (layers[::-1], behind)
        for fixed, layer in pairwise(order):
            at = {place: k for k, place in enumerate(fixed)}
            own = {place: k for k, place in enumerate(layer)}
            mean = {place: sum(at[other] for other in around[place]) / len(around[place]) if around[place]
                    else own[place] for place in layer}
            layer.sort(key=lambda place: (mean[place], own[place]))
        crossings = _crossings(layers, behind)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(layers: Sequence[Sequence[Place]], behind: dict[Place, list[Place]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        at = {place: k for k, place in enumerate(following)}
        ends = [sorted(at[other] for other in behind[place]) for place in layer]
        total += sum(one > other for k, above in enumerate(ends) for below in ends[k + 1:] for one in above
                     for other in below)
    return total
