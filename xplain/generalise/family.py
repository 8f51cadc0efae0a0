"""What the generaliser needs to know of a problem: how to draw configurations of it, and how bad each one is.

An *instance* is a configuration of a problem (a topology, a size, a cost profile, a server). Its *features* are numbers
that describe it, its *response* is a statistic of the gap found on it, stated by the family.
Source: analyzer design, Generalising (Type 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, TypeVar

import numpy as np

I = TypeVar("I")  # noqa: E741  an instance, of whatever type the family likes
NOT_DEFINED = math.nan  # of a feature that an instance does not have, or a response that cannot be had


class InstanceFamily(Protocol[I]):
    """A generator of instances. All methods are deterministic in their arguments and may run in several threads."""

    @property
    def name(self) -> str:
        """Such as "demand pinning"."""
        ...

    @property
    def noun(self) -> str:
        """Plural of what an instance is: "topologies"."""
        ...

    @property
    def response(self) -> tuple[str, str]:
        """(meaning, unit) of the response with its effort, as in ("mean gap over 8 drawn demands", "units")."""
        ...

    def draw(self, rng: np.random.Generator) -> I:
        """An instance from the declared distribution."""
        ...

    def features(self, instance: I) -> Mapping[str, float]:
        """Its features. Not a number: this instance has no such feature."""
        ...

    def respond(self, instance: I, seed: int) -> float:
        """Its response. Not a number: it cannot be had (every input infeasible, say)."""
        ...

    def describe(self, feature: str) -> tuple[str, str]:
        """(meaning, unit) of a feature, for sentences: ("length of the pinned demand's shortest path", "links")."""
        ...
