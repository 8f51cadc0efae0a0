"""First fit against optimal bin packing: balls come in order, each goes into the first bin that holds it.

Declared distribution: sizes independent and uniform in a box, on a grid of a millionth of a bin: sums are exact. A gap
counts in bins. Source: XPlain (HotNets 2024); mathematics: `xplain.flow.first_fit`.
"""

from __future__ import annotations

from itertools import combinations, pairwise

from drex_runtime.errors import InputError
from xplain.flow.first_fit import (
    MAX_CERTAIN,
    certain_edges,
    edges,
    first_fit,
    flows,
    num_bins,
    optimal_packing,
    placing_order,
)
from xplain.problems.flows import Edge, FlowPair
from xplain.records import Dimension, Point
from xplain.space import Space
from xplain.studies.case import Case

GRID = 1_000_000  # units of a bin
MAX_BALLS, MAX_DIMS = 12, 4
ALL_PAIRS = 6  # up to so many balls every pair sum is a feature, beyond only those of neighbours
PAPER = ((0.0, 0.01), (0.49, 0.51), (0.49, 0.51), (0.49, 0.51))


class FirstFit(Case):
    """Bins opened by first fit (`decreasing`: largest first) against the fewest possible.

    `box`: `paper` (four balls in one dimension: the box around its counterexample) or `full` (every size from 0 to a
    whole bin); by default the paper's where it applies.
    """

    name = "first-fit"
    benchmark_name = "the optimal packing"
    objective, gap_unit, resolution = "bins used", "bins", 1
    proof = "exact search in whole numbers"
    threshold = 1.0

    def __init__(self, balls: int = 4, dims: int = 1, decreasing: bool = False, box: str | None = None) -> None:
        for field, value, high in (("balls", balls, MAX_BALLS), ("dims", dims, MAX_DIMS)):
            if not 1 <= value <= high:
                raise InputError(self.name, field, value, f"a whole number from 1 to {high}")
        paper = (balls, dims) == (len(PAPER), 1)
        if box not in (None, "paper", "full") or (box == "paper" and not paper):
            raise InputError(self.name, "box", box, "full, or paper (4 balls in 1 dimension)")
        self.balls, self.dims, self.decreasing = balls, dims, decreasing
        self.heuristic_name = "first fit decreasing" if decreasing else "first fit"
        box = box or ("paper" if paper else "full")
        bounds = PAPER if box == "paper" else ((0.0, 1.0),) * balls
        self.dimensions = tuple(
            Dimension(self.size_name(ball, d), *bounds[ball], unit="of a bin",
                      meaning=f"size of ball {ball}" + (f" in dimension {d}" if dims > 1 else ""))
            for ball in range(balls) for d in range(dims))
        self.distribution = ("sizes independent and uniform in the "
                             f"{'box of the paper' if box == 'paper' else 'unit box'}, whole millionths of a bin")
        self.capacity = (GRID,) * dims
        self.edges: tuple[Edge, ...] = edges(balls)
        self.meanings = self._meanings()

    def size_name(self, ball: int, dimension: int) -> str:
        """B0, B1, ...; B0.0, B0.1, ... in several dimensions."""
        return f"B{ball}" + (f".{dimension}" if self.dims > 1 else "")

    def sizes(self, point: Point) -> tuple[tuple[int, ...], ...]:
        """Sizes of the balls in millionths of a bin."""
        return tuple(tuple(round(point[self.size_name(ball, d)] * GRID) for d in range(self.dims))
                     for ball in range(self.balls))

    def normalised(self, point: Point) -> dict[str, float]:
        """On the grid."""
        return {name: round(value * GRID) / GRID for name, value in super().normalised(point).items()}

    def accepted(self, space: Space, source: str) -> str:
        """Sizes fit into a bin."""
        for dimension in space.dimensions:
            if dimension.low < 0 or dimension.high > 1:
                raise InputError(source, dimension.name, f"{dimension.low} to {dimension.high}", "sizes from 0 to 1")
        return f"{super().accepted(space, source)}; whole millionths of a bin"

    def heuristic(self, point: Point) -> float:
        """Bins that first fit opens."""
        return num_bins(first_fit(self.sizes(point), self.capacity, decreasing=self.decreasing))

    def benchmark(self, point: Point) -> float:
        """The fewest bins, by exact search."""
        return num_bins(optimal_packing(self.sizes(point), self.capacity))

    def flows(self, point: Point) -> FlowPair | None:
        """Which ball goes into which bin; the optimal packing is the one that moves the fewest balls."""
        sizes = self.sizes(point)
        ours = first_fit(sizes, self.capacity, decreasing=self.decreasing)
        certain = certain_edges(sizes, self.capacity, ours) if self.balls <= MAX_CERTAIN else frozenset[Edge]()
        return FlowPair(flows(ours), flows(optimal_packing(sizes, self.capacity, ours)), certain)

    def derived(self, point: Point) -> dict[str, float]:
        """Sums of the first balls and of pairs, the lightest pair, balls above half a bin, and for every ball but the
        first the room that is left for it when it comes: most room in an open bin, less its size (below 0: it opens a
        bin). Balls are numbered in the order in which they are placed."""
        sizes = self.sizes(point)
        placed = [sizes[ball] for ball in placing_order(sizes, self.capacity, decreasing=self.decreasing)]
        found: dict[str, float] = {}
        if self.decreasing:
            found |= {f"placed_{k}{self._in(d)}": placed[k][d] / GRID for k in range(self.balls)
                      for d in range(self.dims)}
        for d in range(self.dims):
            sums = [sum(size[d] for size in placed[:k + 1]) for k in range(self.balls)]
            found |= {f"sum_0_to_{k}{self._in(d)}": sums[k] / GRID for k in range(2, self.balls)}
            pairs = {(i, j): placed[i][d] + placed[j][d] for i, j in self._pairs}
            found |= {f"sum_{i}_{j}{self._in(d)}": total / GRID for (i, j), total in pairs.items()}
            if pairs:
                found[f"least_pair{self._in(d)}"] = min(pairs.values()) / GRID
            found[f"above_half{self._in(d)}"] = float(sum(2 * size[d] > GRID for size in placed))
        return found | self._room(placed)

    def _room(self, placed: list[tuple[int, ...]]) -> dict[str, float]:
        free, found = list[list[int]](), {}
        for k, size in enumerate(placed):
            spare = [min(left - need for left, need in zip(room, size, strict=True)) for room in free]
            if k:
                found[f"room_{k}"] = max(spare) / GRID
            fits = next((index for index, value in enumerate(spare) if value >= 0), None)
            room = free[fits] if fits is not None else list(self.capacity)
            if fits is None:
                free.append(room)
            room[:] = [left - need for left, need in zip(room, size, strict=True)]
        return found

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        every = range(self.balls)
        return list(combinations(every, 2)) if self.balls <= ALL_PAIRS else list(pairwise(every))

    def _in(self, dimension: int) -> str:
        return f".{dimension}" if self.dims > 1 else ""

    def _meanings(self) -> dict[str, tuple[str, str]]:
        ball, unit = "placed ball" if self.decreasing else "ball", "of a bin"
        found = {f"room_{k}": (f"room left for {ball} {k} when it comes", unit) for k in range(1, self.balls)}
        lightest = "lightest pair" if self.balls <= ALL_PAIRS else "lightest neighbouring pair"
        for d in range(self.dims):
            name, tail = self._in(d), f" in dimension {d}" if self.dims > 1 else ""
            found |= {f"placed_{k}{name}": (f"size of {ball} {k}{tail}", unit) for k in range(self.balls)}
            found |= {f"sum_0_to_{k}{name}": (f"sum of {ball}s 0 to {k}{tail}", unit) for k in range(2, self.balls)}
            found |= {f"sum_{i}_{j}{name}": (f"sum of {ball}s {i} and {j}{tail}", unit) for i, j in self._pairs}
            found[f"least_pair{name}"] = (f"sum of the {lightest}{tail}", unit)
            found[f"above_half{name}"] = (f"{ball}s above half a bin{tail}", "")
        return found
