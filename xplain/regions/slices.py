"""The paper's method: a cube around a bad input, grown slice by slice, then cut by a regression tree on the gap.

Seed: the worst input outside the regions so far. A slice beyond each face is sampled and added while at least the
share `density` of it is bad; when no face moves any more, a tree is fitted to the gap in the cube and a margin around
it, and the region is the cube cut by the tree's path to the leaf that holds the seed: a polytope, where features are
linear in the input. Regions are found one by one, inputs of earlier ones count as not bad: their union is the result.
Inputs per slice: n >= ln(2 / delta) / (2 epsilon^2), by the Dvoretzky-Kiefer-Wolfowitz inequality.

Source: Towards Safer Heuristics With XPlain (HotNets 2024), section on adversarial subspaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from xplain.records import Dimension, Sample
from xplain.regions.box import Box
from xplain.regions.linear import with_linear
from xplain.regions.propose import Ground, Proposal, stated
from xplain.regions.refine import Sorted, Worth
from xplain.regions.table import Floats, Mask, tabulate
from xplain.regions.tree import fitted
from xplain.space import share_of, value_at

TREE_SLICES = 8  # the tree sees as many inputs as so many slices
STREAM = 29
Edges = dict[str, tuple[float, float]]  # dimension -> from and to, as shares of its declared distribution


def slice_inputs(epsilon: float, delta: float) -> int:
    """Inputs after which a distribution is known to `epsilon` everywhere, but for a probability `delta` (DKW)."""
    return math.ceil(math.log(2 / delta) / (2 * epsilon**2))


class SliceGrowth:
    """See the module. Deterministic: a function of samples and seed.

    A seed may lie in a thin rest beside an earlier region, which holds too few inputs for any test: that is no reason
    not to look elsewhere.
    """

    failures = 2

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.evaluations = 0
        self._free = [dimension for dimension in ground.problem.dimensions if not dimension.fixed]
        self._rng = np.random.default_rng((ground.seed, STREAM))

    def propose(self, before: Sequence[Box], taken: Mask) -> Proposal | None:
        """The region around the worst input that no earlier one holds; None without such an input, and when the budget
        of evaluations is spent."""
        table, options = self.ground.table, self.ground.options.slices
        open_rows = np.flatnonzero(table.bad & ~taken)
        if len(open_rows) == 0 or not table.names or not self._free:
            return None
        row = int(open_rows[np.argmax(table.gaps[open_rows])])
        seed = self.ground.samples[row].point
        if any(dimension.name not in seed for dimension in self._free):
            return None  # samples that were not drawn from the problem: nothing around them can be evaluated
        edges: Edges = {}
        for dimension in self._free:
            at = share_of(dimension, seed[dimension.name])
            edges[dimension.name] = (max(0.0, at - options.cube / 2), min(1.0, at + options.cube / 2))
        self._grow(edges, before)
        near = self._drawn(self._margin(edges), TREE_SLICES * slice_inputs(options.epsilon, options.delta))
        if len(near) < 2:
            return None
        return self._cut(self._cube(edges), near, before, table.values[row])

    def _grow(self, edges: Edges, before: Sequence[Box]) -> None:
        """Add slices until no face moves. Faces that stood are tried again when others have moved: where the first cube
        reaches over the edge of the bad inputs, its slices are half good until it has grown the other way."""
        options = self.ground.options.slices
        faces = [(dimension.name, side) for dimension in self._free for side in ("low", "high")]
        moved = True
        while moved:
            moved = False
            for name, side in faces:
                low, high = edges[name]
                beyond = (max(0.0, low - options.step), low) if side == "low" else (high, min(1.0, high + options.step))
                if beyond[0] >= beyond[1]:
                    continue
                found = self._drawn({**edges, name: beyond}, slice_inputs(options.epsilon, options.delta))
                if found and self._bad_share(found, before) >= options.density:
                    edges[name] = (beyond[0], high) if side == "low" else (low, beyond[1])
                    moved = True

    def _bad_share(self, found: Sequence[Sample], before: Sequence[Box]) -> float:
        table = tabulate(found, self.ground.threshold, self.ground.table.names)
        return float((table.bad & ~_held(table.values, before)).mean())

    def _drawn(self, edges: Mapping[str, tuple[float, float]], count: int) -> tuple[Sample, ...]:
        """Evaluated inputs, spread as declared within the edges; fewer, or none, if the budget ends."""
        problem, most = self.ground.problem, self.ground.options.slices.evaluations - self.evaluations
        if most < count:
            return ()
        found = []
        fixed = {dimension.name: dimension.low for dimension in problem.dimensions}
        for _ in range(count):
            point = dict(fixed)
            for dimension in self._free:
                low, high = edges[dimension.name]
                point[dimension.name] = value_at(dimension, min(low + (high - low) * self._rng.random(), 1 - 1e-12))
            found.append(problem.evaluate(point, self.evaluations, "held-out"))
            self.evaluations += 1
        return with_linear(found, self.ground.linear)

    def _margin(self, edges: Edges) -> Edges:
        step = self.ground.options.slices.step
        return {name: (max(0.0, low - step), min(1.0, high + step)) for name, (low, high) in edges.items()}

    def _cube(self, edges: Edges) -> Box:
        """The cube as predicates over those dimensions that are features."""
        names = self.ground.table.names
        box = Box.everything(len(names))
        for dimension in self._free:
            if dimension.name in names:
                k, (low, high) = names.index(dimension.name), edges[dimension.name]
                if low > 0:
                    box = box.with_bound(k, "low", _edge(dimension, low))
                if high < 1:
                    box = box.with_bound(k, "high", value_at(dimension, high))
        return box

    def _cut(self, cube: Box, near: Sequence[Sample], before: Sequence[Box], seed: Floats) -> Proposal:
        """The cube cut by the path to the seed's leaf, stated like any proposal."""
        ground = self.ground
        table = tabulate(near, ground.threshold, ground.table.names)
        taken = _held(table.values, before)
        # Cut off at the threshold: how much worse than bad an input is, is no reason to cut a bad region in two.
        gaps = np.where(taken, 0.0, np.clip(table.gaps, -ground.threshold, ground.threshold))
        leaves = fitted(table.values, gaps, table.weights, ground.seed)
        path = next(box for box in leaves if box.inside(seed[None, :])[0])  # leaves hold all of space
        box = Box(tuple(np.maximum(cube.lows, path.lows).tolist()), tuple(np.minimum(cube.highs, path.highs).tolist()))
        # A predicate that all inputs near the seed fulfil may still be what keeps the region where it is.
        wide = table.with_rows(ground.table)
        worth = Worth(wide, _held(wide.values, before), ground.options.targets[0], 0.0, Sorted.of(wide), ground.terms)
        return stated(box, worth, ground.options.slack, refit=False)


def _held(values: Floats, boxes: Sequence[Box]) -> Mask:
    held: Mask = np.zeros(len(values), dtype=bool)
    for box in boxes:
        held |= box.inside(values)
    return held


def _edge(dimension: Dimension, share: float) -> float:
    """A lower bound that is exclusive: below a whole value, so that the value itself is inside."""
    value = value_at(dimension, share)
    return value - 1 if dimension.integer else value
