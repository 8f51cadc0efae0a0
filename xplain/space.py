"""Input spaces: named dimensions with bounds and a declared distribution; YAML files of them.

Regions, precision and coverage are statements under this distribution (independent, uniform or log-uniform per
dimension), so it is part of every result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from drex_runtime.errors import InputError
from drex_runtime.records.files import as_input_error, read_text
from xplain.records import STRICT, Dimension, Point

MAX_BYTES = 1 << 18


@dataclass(frozen=True)
class Space:
    """Dimensions of an input space, drawn independently."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        for dimension in self.dimensions:
            finite = math.isfinite(dimension.low) and math.isfinite(dimension.high)
            if not finite or dimension.low > dimension.high or (dimension.log and dimension.low <= 0):
                raise InputError(f"space {self.name}", dimension.name, f"{dimension.low} to {dimension.high}",
                                 "finite bounds, low <= high, low > 0 if log")
        names = [dimension.name for dimension in self.dimensions]
        if len(set(names)) != len(names):
            raise InputError(f"space {self.name}", "dimensions", names, "each name once")

    @property
    def names(self) -> tuple[str, ...]:
        """Dimension names in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    def dimension(self, name: str) -> Dimension:
        """A dimension by name."""
        return next(dimension for dimension in self.dimensions if dimension.name == name)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """A point from the declared distribution."""
        return {dimension.name: value_at(dimension, rng.random()) for dimension in self.dimensions}

    def clip(self, point: Point) -> dict[str, float]:
        """The nearest point inside the bounds, integers rounded."""
        found = {}
        for dimension in self.dimensions:
            value = min(max(point[dimension.name], dimension.low), dimension.high)
            found[dimension.name] = float(round(value)) if dimension.integer else float(value)
        return found

    def moved(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """A neighbour: every free dimension moves by a normal step of `width` of its range, integers by at least one
        now and then."""
        found = dict(point)
        free = [dimension for dimension in self.dimensions if not dimension.fixed]
        for dimension in free:
            if rng.random() > max(0.5, 1 / len(free)):
                continue
            share = share_of(dimension, point[dimension.name]) + rng.normal(0.0, width)
            found[dimension.name] = value_at(dimension, min(max(share, 0.0), 1.0 - 1e-12))
        return self.clip(found)

    def restricted(self, name: str, value: float) -> Space:
        """The same space with one dimension fixed; InputError if the value lies outside."""
        dimension = self.dimension(name)
        if not dimension.low <= value <= dimension.high:
            raise InputError(f"space {self.name}", name, value, f"a value from {dimension.low} to {dimension.high}")
        fixed = replace(dimension, low=value, high=value)
        return replace(self, dimensions=tuple(fixed if item.name == name else item for item in self.dimensions))


def value_at(dimension: Dimension, share: float) -> float:
    """The value below which a `share` (0 <= share < 1) of the dimension's distribution lies; integers are whole."""
    if dimension.integer:
        if dimension.log:
            low, high = math.log(dimension.low), math.log(dimension.high + 1)
            return float(min(int(math.exp(low + share * (high - low))), int(dimension.high)))
        return float(int(dimension.low) + int(share * (int(dimension.high) - int(dimension.low) + 1)))
    if dimension.log:
        return math.exp(math.log(dimension.low) + share * (math.log(dimension.high) - math.log(dimension.low)))
    return dimension.low + share * (dimension.high - dimension.low)


def share_of(dimension: Dimension, value: float) -> float:
    """Where a value lies in the dimension's range, 0 to 1."""
    if dimension.fixed:
        return 0.0
    if dimension.log:
        return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


_ADAPTER = TypeAdapter(Space)


def load_space(path: Path) -> Space:
    """Read a space from YAML. Raises InputError naming file, field and value."""
    try:
        data = yaml.safe_load(read_text(path, MAX_BYTES))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(str(path), "document", type(error).__name__, "valid YAML") from error
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise as_input_error(error, str(path)) from error
