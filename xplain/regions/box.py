"""Boxes: conjunctions of `low < feature <= high`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xplain.records import Predicate
from xplain.regions.table import Floats, Mask, Table

FINENESS = 0.02
RELATIVE_FINENESS = 0.05


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

    def predicates(self, names: tuple[str, ...]) -> tuple[Predicate, ...]:
        """As records, feature by feature."""
        found: list[Predicate] = []
        for name, low, high in zip(names, self.lows, self.highs, strict=True):
            if math.isfinite(low):
                found.append(Predicate(name, ">", low))
            if math.isfinite(high):
                found.append(Predicate(name, "<=", high))
        return tuple(found)


def rounded(box: Box, table: Table) -> Box:
    """Bounds as a person would state them, before the box is judged: whole numbers for whole features, else no finer
    than about 2 % of the feature's middle half and 5 % of the bound."""
    lows, highs = list(box.lows), list(box.highs)
    for bounds in (lows, highs):
        for k, bound in enumerate(bounds):
            if math.isfinite(bound):
                plain = _plain(bound, table.values[:, k])
                bounds[k] = float(math.floor(plain)) if table.integer[k] else plain
    return Box(tuple(lows), tuple(highs))


def _plain(bound: float, column: Floats) -> float:
    low, high = np.quantile(column, [0.25, 0.75])
    fineness = [part for part in (FINENESS * (high - low), RELATIVE_FINENESS * abs(bound)) if part > 0]
    if not fineness:
        return bound
    # Rounding moves a bound by at most half a unit of its last digit.
    return round(bound, -math.floor(math.log10(2 * min(fineness))))
