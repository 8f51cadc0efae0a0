"""Boxes: conjunctions of `low < feature <= high`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xplain.records import Predicate
from xplain.regions.table import Floats, Mask


@dataclass(frozen=True)
class Box:
    """Bounds per feature of a table; infinite ones say nothing."""

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @staticmethod
    def everything(features: int) -> Box:
        """The box without predicates."""
        return Box((-math.inf,) * features, (math.inf,) * features)

    @property
    def size(self) -> int:
        """Number of predicates."""
        return sum(map(math.isfinite, self.lows)) + sum(map(math.isfinite, self.highs))

    def inside(self, values: Floats) -> Mask:
        """Which rows lie in the box."""
        return np.asarray(((values > np.array(self.lows)) & (values <= np.array(self.highs))).all(axis=1))

    def with_bound(self, feature: int, side: str, bound: float) -> Box:
        """The same box with one bound replaced; side: low or high."""
        bounds = list(self.lows if side == "low" else self.highs)
        bounds[feature] = bound
        return Box(tuple(bounds), self.highs) if side == "low" else Box(self.lows, tuple(bounds))

    def drops(self) -> list[Box]:
        """Every box that has one predicate less."""
        lows = [self.with_bound(k, "low", -math.inf) for k, low in enumerate(self.lows) if math.isfinite(low)]
        highs = [self.with_bound(k, "high", math.inf) for k, high in enumerate(self.highs) if math.isfinite(high)]
        return lows + highs

    @staticmethod
    def of(predicates: Iterable[Predicate], names: tuple[str, ...]) -> Box:
        """The box of a conjunction over some of the features `names`; the tightest of several bounds holds."""
        box = Box.everything(len(names))
        for predicate in predicates:
            k = names.index(predicate.feature)
            if predicate.relation == ">":
                box = box.with_bound(k, "low", max(box.lows[k], predicate.bound))
            else:
                box = box.with_bound(k, "high", min(box.highs[k], predicate.bound))
        return box

    def predicates(self, names: tuple[str, ...]) -> tuple[Predicate, ...]:
        """As records, feature by feature."""
        found: list[Predicate] = []
        for name, low, high in zip(names, self.lows, self.highs, strict=True):
            if math.isfinite(low):
                found.append(Predicate(name, ">", low + 0.0))  # + 0.0: no negative zero
            if math.isfinite(high):
                found.append(Predicate(name, "<=", high + 0.0))
        return tuple(found)


def between(below: float, above: float) -> float:
    """A bound halfway between two values: at least the lower one, below the upper one."""
    middle = float(below) + (float(above) - float(below)) / 2
    # Between neighbouring floats the middle may round up to the upper one, which would let it in.
    return middle if middle < above else float(below)
