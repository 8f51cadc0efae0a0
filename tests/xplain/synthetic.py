"""Problems with a known answer: a gap that is large inside a box and small outside, plus noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np

from xplain.records import Dimension, Origin, Point, Sample, Scale
from xplain.space import Space

UNIT = 10_000
Response = Callable[[Point], float]


class SyntheticProblem:
    """`response(features)` is the relative gap; noise is drawn from the point, so that evaluation is deterministic."""

    scale: Scale = "operating"

    def __init__(self, response: Response, space: Space, *, noise: float = 0.0, threshold: float = 0.05) -> None:
        self.response, self.space, self.noise, self.threshold = response, space, noise, threshold

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        return self.space.dimensions

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        return self.space.draw(rng)

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        return self.space.moved(point, rng, width)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        stream = np.random.default_rng([abs(hash(value)) for value in point.values()])
        gap = self.response(point) + self.noise * stream.normal()
        return Sample(index, self.scale, origin, dict(point), dict(point), heuristic=round(UNIT * (1 + gap)),
                      lower=UNIT, upper=UNIT)

    def describe(self, feature: str) -> tuple[str, str]:
        if feature not in self.space.names:
            return feature, ""
        dimension = self.space.dimension(feature)
        return dimension.meaning or feature, dimension.unit


def plane(*extra: Dimension) -> Space:
    """Exit rate, requests in flight, prompt length, and more."""
    return Space("plane", (Dimension("exit_rate", 0.0, 1.0, meaning="exit rate"),
                           Dimension("in_flight", 1, 64, integer=True, meaning="requests in flight", unit="requests"),
                           Dimension("prompt", 16, 4096, integer=True, log=True, meaning="prompt", unit="tokens"),
                           *extra))


def box(point: Point) -> float:
    """14 % inside exit rate <= .31 and in flight > 12, nothing outside."""
    return 0.14 if point["exit_rate"] <= 0.31 and point["in_flight"] > 12 else 0.0


def slope(point: Point) -> float:
    """A single peak at (0.1, 50, 100)."""
    away = (abs(point["exit_rate"] - 0.1) + abs(point["in_flight"] - 50) / 64
            + abs(np.log(point["prompt"] / 100)) / 5)
    return float(max(0.0, 0.5 - 0.4 * away))


def cube(dimensions: int = 6) -> Space:
    """x1, x2, ...: each uniform in [0, 1]."""
    return Space("cube", tuple(Dimension(f"x{k}", 0.0, 1.0) for k in range(1, dimensions + 1)))


DEPTH = 0.14  # relative gap inside a planted bad region


def planted(shape: str, seed: int, dimensions: int = 6) -> Response:
    """A bad region of a known shape over two of the dimensions; which two and where is drawn from the seed.

    `two boxes`: apart from each other, at opposite or neighbouring corners. `half-space`: a x + b y > c with (a, b) =
    (1, 1) or (1, -1). `tilted`: the same with a slope between 1/3 and 3. `L`: a square without one of its corners.
    Each holds 10 to 45 % of the cube.
    """
    rng = np.random.default_rng((seed, 41))
    x, y = (f"x{k}" for k in rng.permutation(np.arange(1, dimensions + 1))[:2])
    if shape == "two boxes":
        left, right, opposite = rng.uniform(0.25, 0.45, 2), rng.uniform(0.55, 0.75, 2), rng.random() < 0.5
        return lambda p: DEPTH * ((p[x] <= left[0] and p[y] <= left[1]) or (
            p[x] > right[0] and (p[y] > right[1]) == opposite))
    if shape in ("half-space", "tilted"):
        slope = 1.0 if shape == "half-space" else float(np.tan(rng.uniform(np.arctan(1 / 3), np.arctan(3))))
        sign = float(rng.choice((-1, 1)))
        share = rng.uniform(0.1, 0.4)
        sums = np.sort((grid := rng.random((20_000, 2)))[:, 0] + sign * slope * grid[:, 1])
        bound = float(sums[int((1 - share) * len(sums))])
        return lambda p: DEPTH * (p[x] + sign * slope * p[y] > bound)
    if shape == "L":
        outer, inner = rng.uniform(0.6, 0.8, 2), rng.uniform(0.2, 0.4, 2)
        return lambda p: DEPTH * (p[x] <= outer[0] and p[y] <= outer[1] and (p[x] <= inner[0] or p[y] <= inner[1]))
    raise ValueError(shape)


class FirstFitProblem:
    """First fit against optimal packing: balls in order, bins of size 1 (SIZE units). The paper's box by default.

    Gaps are in bins (`per` = 1). Features are the sizes alone: sums are for the search for regions to form. The sum of
    all sizes is one too where `with_sum`.
    """

    scale: Scale = "exact"
    threshold = 1.0
    SIZE = 1_000_000

    def __init__(self, *, with_sum: bool = False) -> None:
        self.with_sum = with_sum

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        small = Dimension("B0", 0.0, 0.01, meaning="ball 0")
        return (small, *(Dimension(f"B{k}", 0.49, 0.51, meaning=f"ball {k}") for k in (1, 2, 3)))

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        return Space("balls", self.dimensions).draw(rng)

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        return Space("balls", self.dimensions).moved(point, rng, width)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        sizes = [round(self.SIZE * value) for value in point.values()]
        features = {**point, "sum": sum(point.values())} if self.with_sum else dict(point)
        best = fewest_bins(sizes, self.SIZE)
        return Sample(index, self.scale, origin, dict(point), features, first_fit(sizes, self.SIZE), best, best, per=1)

    def describe(self, feature: str) -> tuple[str, str]:
        return {"sum": "all balls together"}.get(feature, feature.replace("B", "ball ")), ""


def first_fit(sizes: Sequence[int], size: int) -> int:
    """Bins used when every ball goes into the first bin that has room."""
    rooms = list[int]()
    for each in sizes:
        place = next((k for k, room in enumerate(rooms) if room >= each), None)
        if place is None:
            rooms.append(size - each)
        else:
            rooms[place] -= each
    return len(rooms)


def fewest_bins(sizes: Sequence[int], size: int) -> int:
    """The optimum by trying orders until one needs no more than all balls together do: first fit of the right order is
    optimal."""
    least, best = -(-sum(sizes) // size), len(sizes)
    for order in permutations(sizes):
        best = min(best, first_fit(order, size))
        if best == least:
            break
    return best
