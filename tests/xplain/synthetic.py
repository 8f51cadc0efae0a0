"""Problems with a known answer: a gap that is large inside a box and small outside, plus noise."""

from __future__ import annotations

from collections.abc import Callable

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
