"""Families whose truth is known: features by name, the response a function of them and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Features = dict[str, float]


@dataclass(frozen=True)
class Synthetic:
    """`make` draws features, `answer` says the mean response; noise is normal."""

    make: Callable[[np.random.Generator], Features]
    answer: Callable[[Features], float]
    noise: float = 1.0
    name: str = "synthetic"
    noun: str = "instances"
    response: tuple[str, str] = ("a known function", "ticks")

    def draw(self, rng: np.random.Generator) -> Features:
        return self.make(rng)

    def features(self, instance: Features) -> Mapping[str, float]:
        return {name: value for name, value in instance.items() if not name.startswith("hidden")}

    def respond(self, instance: Features, seed: int) -> float:
        return self.answer(instance) + self.noise * float(np.random.default_rng(seed).normal())

    def describe(self, feature: str) -> tuple[str, str]:
        return feature, ""


def uniform(*names: str) -> Callable[[np.random.Generator], Features]:
    """Independent features, uniform in [0, 10]."""
    return lambda rng: {name: float(rng.uniform(0, 10)) for name in names}
