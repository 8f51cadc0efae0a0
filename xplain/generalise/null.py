"""A family about which nothing is true: features of one instance, the response of another.

What the generaliser claims about it is false, whatever it is: a check of the method on a problem's own numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

import numpy as np

from xplain.generalise.family import I, InstanceFamily
from xplain.generalise.table import Drawn


@dataclass(frozen=True)
class Unrelated(Generic[I]):
    """An InstanceFamily of pairs drawn from `family`."""

    family: InstanceFamily[I]

    @property
    def name(self) -> str:
        """Of the family."""
        return f"{self.family.name} (features and responses of different instances)"

    @property
    def noun(self) -> str:
        """As the family's."""
        return self.family.noun

    @property
    def response(self) -> tuple[str, str]:
        """As the family's."""
        return self.family.response

    def draw(self, rng: np.random.Generator) -> tuple[I, I]:
        """Two instances."""
        return self.family.draw(rng), self.family.draw(rng)

    def features(self, instance: tuple[I, I]) -> Mapping[str, float]:
        """Of the first."""
        return self.family.features(instance[0])

    def respond(self, instance: tuple[I, I], seed: int) -> float:
        """Of the second."""
        return self.family.respond(instance[1], seed)

    def describe(self, feature: str) -> tuple[str, str]:
        """As the family's."""
        return self.family.describe(feature)


def shuffled(drawn: Drawn, seed: int) -> Drawn:
    """The same features with permuted responses: as good, and nothing is evaluated again."""
    return Drawn(drawn.names, drawn.values, np.random.default_rng([seed, 32_452_867]).permutation(drawn.response))
