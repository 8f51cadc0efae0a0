"""Configurations of first fit: how many balls, of which sizes, in how many dimensions, in bins of which capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import InputError
from xplain.flow.first_fit import first_fit, num_bins, optimal_packing

MEANINGS: dict[str, tuple[str, str]] = {
    "balls": ("the number of balls", "balls"),
    "dimensions": ("the number of dimensions", "dimensions"),
    "smallest": ("the smallest possible size", "bins"),
    "largest": ("the largest possible size", "bins"),
    "capacity": ("the capacity of a bin in units of size", "units"),
    "colours": ("the number of colours", ""),
}


@dataclass(frozen=True)
class Packing:
    """`low`..`high`: sizes in units, uniform in every dimension; `capacity` the same in every dimension; `colours` mean
    nothing."""

    balls: int
    dimensions: int
    low: int
    high: int
    capacity: int
    colours: int


@dataclass(frozen=True)
class FirstFitFamily:
    """Response: mean gap (bins used above the fewest possible, relative to these) over `effort` drawn lists of balls.

    At most `most_balls`, few enough for an exact optimum. Raises InputError.
    """

    most_balls: int = 9
    most_dimensions: int = 3
    decreasing: bool = False
    effort: int = 40
    noun: str = "configurations"

    def __post_init__(self) -> None:
        for field, value, least in (("most_balls", self.most_balls, 4), ("most_dimensions", self.most_dimensions, 1),
                                    ("effort", self.effort, 1)):
            if value < least:
                raise InputError(self.name, field, value, f"at least {least}")

    @property
    def name(self) -> str:
        """Which of the two heuristics."""
        return "first fit decreasing" if self.decreasing else "first fit"

    @property
    def response(self) -> tuple[str, str]:
        """What `respond` returns."""
        return f"the mean relative gap over {self.effort} drawn lists of balls", ""

    def draw(self, rng: np.random.Generator) -> Packing:
        """Sizes from a random range between a hundredth and all of a bin."""
        capacity = int(rng.integers(100, 1001))
        low, high = np.sort(rng.uniform(0.01, 1.0, 2))
        least = max(1, int(low * capacity))
        return Packing(int(rng.integers(4, self.most_balls + 1)), int(rng.integers(1, self.most_dimensions + 1)), least,
                       max(least, int(high * capacity)), capacity, int(rng.integers(1, 10)))

    def features(self, instance: Packing) -> dict[str, float]:
        """Those of MEANINGS, sizes as shares of a bin."""
        low, high = instance.low / instance.capacity, instance.high / instance.capacity
        return {"balls": instance.balls, "dimensions": instance.dimensions, "smallest": low, "largest": high,
                "capacity": instance.capacity, "colours": instance.colours}

    def respond(self, instance: Packing, seed: int) -> float:
        """Mean relative gap. LimitError if an optimum is not proved."""
        rng, capacity = np.random.default_rng(seed), (instance.capacity,) * instance.dimensions
        total = 0.0
        for _ in range(self.effort):
            drawn = rng.integers(instance.low, instance.high + 1, (instance.balls, instance.dimensions))
            sizes = [tuple(each) for each in drawn.tolist()]
            fewest = num_bins(optimal_packing(sizes, capacity))
            total += num_bins(first_fit(sizes, capacity, decreasing=self.decreasing)) / fewest - 1
        return total / self.effort

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit."""
        return MEANINGS.get(feature, (feature, ""))
