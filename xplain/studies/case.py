"""`Case`: the shortest way to state a problem. Two methods and a table of dimensions, the rest has defaults.

    class Halves(Case):
        dimensions = (Dimension("x", 0, 1), Dimension("y", 0, 1))
        def heuristic(self, point): return round(point["x"]) + round(point["y"])
        def benchmark(self, point): return round(point["x"] + point["y"])

Guide: docs/own-heuristic.md. Source: analyzer design, Problem interface.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from drex_runtime.errors import InputError
from xplain.records import Dimension, Origin, Point, Sample, Scale
from xplain.space import Space

Value = float | tuple[float, float]  # a number, or the interval in which the benchmark is known to lie


class InfeasibleError(Exception):
    """Raised by a heuristic or a benchmark that has no answer for an input: counted, and left out of everything else.

    Such an input is neither good nor bad; its share under the declared distribution is reported.
    """


class Case(ABC):
    """A heuristic against a benchmark, both to be small, over independent dimensions.

    `dimensions`: the input space; uniform, log-uniform if a dimension says `log`. `threshold`: tau, from which gap on
    an input is bad. A gap is divided by the benchmark; with `gap_unit` (such as "bins") it counts in units of the
    objective, and with `per` overridden it is divided by that, `gap_of` says in words by what.
    `proof`: why the benchmark is surely what it says (such as "exhaustive search in whole numbers"); only with it gaps
    are called proved. `resolution`: objectives are kept as whole multiples of it, so that equal ones are equal.
    `meanings`: feature -> (meaning, unit), for sentences; dimensions bring their own. Keyword arguments of `__init__`
    with a default are options of the command line (`--set name=value`).
    """

    scale: Scale = "exact"
    name: str = ""
    heuristic_name: str = "the heuristic"
    benchmark_name: str = "the benchmark"
    dimensions: tuple[Dimension, ...] = ()
    threshold: float = 0.1
    objective: str = "cost"
    unit: str = ""
    gap_unit: str = ""
    gap_of: str = "the benchmark"
    resolution: float = 1e-6
    distribution: str = ""
    infeasible: str = "no input of this problem is infeasible"
    proof: str = ""
    meanings: Mapping[str, tuple[str, str]] = MappingProxyType({})

    @abstractmethod
    def heuristic(self, point: Point) -> float:
        """The heuristic's objective at `point`. Raises InfeasibleError where it has no answer."""

    @abstractmethod
    def benchmark(self, point: Point) -> Value:
        """The benchmark's objective, or (low, high) around it. Raises InfeasibleError where it has no answer."""

    def derived(self, point: Point) -> dict[str, float]:
        """Features beside the dimensions that regions may speak of; functions of the input."""
        return {}

    def features(self, point: Point) -> dict[str, float]:
        """All that regions may speak of: the input and what is derived from it. Neither side is asked."""
        point = self.normalised(point)
        return {**point, **self.derived(point)}

    def per(self, point: Point) -> float:
        """What a gap is divided by, in units of the objective; 0: the benchmark."""
        return 1.0 if self.gap_unit else 0.0

    def normalised(self, point: Point) -> dict[str, float]:
        """The input that `point` stands for: inside the box, whole where dimensions are."""
        return self._space.clip(point)

    def accepted(self, space: Space, source: str) -> str:
        """How another input space is distributed, in words. Raises InputError on one that cannot be evaluated."""
        return f"as in {source}: independent; uniform, log-uniform where a dimension says so"

    def use_space(self, space: Space, source: str) -> None:
        """Search `space` instead. Raises InputError unless it has the problem's dimensions, in any order."""
        known = [dimension.name for dimension in self.dimensions]
        if sorted(known) != sorted(space.names):
            raise InputError(source, "dimensions", ", ".join(space.names), f"exactly {', '.join(known)}")
        whole = {dimension.name for dimension in self.dimensions if dimension.integer}
        for dimension in space.dimensions:
            if dimension.name in whole and not dimension.integer:
                raise InputError(source, f"{dimension.name}.integer", False, "true: it takes whole values only")
        self.distribution = self.accepted(space, source)
        self.dimensions = tuple(space.dimension(name) for name in known)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """An input from the declared distribution."""
        return self.normalised(self._space.draw(rng))

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """An input close to `point`."""
        return self.normalised(self._space.moved(point, rng, width))

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """Both sides at `point`. Raises InputError on an objective that is not a finite number."""
        point, features = self.normalised(point), self.features(point)
        try:
            value = self._ticks("heuristic", self.heuristic(point), point)
            found = self.benchmark(point)
        except InfeasibleError:
            return Sample(index, self.scale, origin, point, features, 0, 0, 0, feasible=False)
        low, high = found if isinstance(found, Sequence) else (found, found)
        return Sample(index, self.scale, origin, point, features, value, self._ticks("benchmark", low, point),
                      self._ticks("benchmark", high, point), per=self._ticks("per", self.per(point), point))

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit of a feature."""
        if feature in self.meanings:
            return self.meanings[feature]
        known = {dimension.name: dimension for dimension in self.dimensions}
        if feature in known:
            return known[feature].meaning or feature.replace("_", " "), known[feature].unit
        return feature.replace("_", " "), ""

    @property
    def title(self) -> str:
        """`name`, by default the class name with hyphens."""
        return self.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()

    @property
    def _space(self) -> Space:
        return Space(self.title, tuple(self.dimensions))

    def _ticks(self, what: str, value: float, point: Point) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating) \
                or not math.isfinite(value):
            shown = ", ".join(f"{name} = {each:g}" for name, each in point.items())
            raise InputError(f"problem {self.title}", what, value, f"a finite number at {shown}; raise InfeasibleError "
                             "where there is none")
        return round(value / self.resolution)
