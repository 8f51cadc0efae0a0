"""What the analyzer needs to know of a problem, whatever it is about.

Search, regions and tuning see only this. Source: analyzer design, Problem interface.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xplain.records import Dimension, Origin, Point, Sample, Scale


class Problem(Protocol):
    """An input space with a declared distribution and a function from inputs to (heuristic, benchmark)."""

    @property
    def scale(self) -> Scale:
        """Label of the samples it makes."""
        ...

    @property
    def threshold(self) -> float:
        """tau: an input is bad if its relative gap is at least this."""
        ...

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The box that holds every input, in the order of a point's keys; every point of it can be evaluated."""
        ...

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """An input from the declared distribution."""
        ...

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """An input close to `point`; `width` in (0, 1] shrinks as a search narrows down."""
        ...

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """Heuristic, benchmark and features at `point`. Deterministic."""
        ...

    def describe(self, feature: str) -> tuple[str, str]:
        """(meaning, unit) of a feature, for sentences."""
        ...
