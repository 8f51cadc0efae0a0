"""A problem that is checked while it is used: what somebody's code gets wrong becomes one line, not a traceback."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import numpy as np

from drex_runtime.errors import DrexError, InputError
from drex_runtime.policies.load import USER_ERRORS, user_error
from xplain.problems.flows import Edge, FlowPair
from xplain.problems.interface import Problem
from xplain.records import Dimension, Origin, Point, Sample, Scale

METHODS = ("draw", "neighbour", "evaluate", "describe")
FIELDS = ("scale", "threshold", "dimensions")


def check_problem(problem: object, source: str) -> None:
    """InputError unless `problem` has everything that `xplain.problems.interface.Problem` names."""
    missing = [name for name in (*FIELDS, *METHODS) if not hasattr(problem, name)]
    if missing:
        raise InputError(source, "problem", type(problem).__name__,
                         f"a Problem (see docs/own-heuristic.md); it lacks {', '.join(missing)}")
    dimensions = getattr(problem, "dimensions", ())
    if not isinstance(dimensions, tuple | list) or not dimensions \
            or not all(isinstance(dimension, Dimension) for dimension in dimensions):
        raise InputError(source, "dimensions", dimensions, "at least one Dimension")
    names = [dimension.name for dimension in dimensions]
    if len(set(names)) != len(names):
        raise InputError(source, "dimensions", ", ".join(names), "each name once")
    for dimension in dimensions:
        if not (math.isfinite(dimension.low) and math.isfinite(dimension.high)) or dimension.low > dimension.high \
                or (dimension.log and dimension.low <= 0):
            raise InputError(source, f"dimensions.{dimension.name}", f"{dimension.low} to {dimension.high}",
                             "finite bounds, low <= high, low > 0 if log")
    threshold = getattr(problem, "threshold", None)
    if not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise InputError(source, "threshold", threshold, "a finite number")
    resolution = getattr(problem, "resolution", 1.0)
    if not isinstance(resolution, int | float) or not (math.isfinite(resolution) and resolution > 0):
        raise InputError(source, "resolution", resolution, "a number above 0")


class Guarded:
    """The same problem; every answer is looked at. `source`: what to name in errors.

    `foreign`: an exception out of somebody else's code is an InputError with file and line; out of ours it is a defect
    and keeps its traceback.
    """

    def __init__(self, problem: Problem, source: str, *, foreign: bool = True) -> None:
        check_problem(problem, source)
        self.problem, self.source, self._foreign = problem, source, foreign
        self._file = inspect.getsourcefile(type(problem)) or source

    @property
    def scale(self) -> Scale:
        """The problem's."""
        return self.problem.scale

    @property
    def threshold(self) -> float:
        """The problem's."""
        return self.problem.threshold

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The problem's."""
        return tuple(self.problem.dimensions)

    @property
    def has_flows(self) -> bool:
        """Whether heat maps and flow tables can be made."""
        return hasattr(self.problem, "flows") and hasattr(self.problem, "edges")

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The problem's, () if it has none."""
        found: tuple[Edge, ...] = getattr(self.problem, "edges", ())
        return found

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """As the problem draws."""
        try:
            return self.problem.draw(rng)
        except USER_ERRORS as error:
            raise self._error(error, "draw") from error

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """As the problem moves."""
        try:
            return self.problem.neighbour(point, rng, width)
        except USER_ERRORS as error:
            raise self._error(error, "neighbour") from error

    def describe(self, feature: str) -> tuple[str, str]:
        """As the problem says."""
        try:
            meaning, unit = self.problem.describe(feature)
        except USER_ERRORS as error:
            raise self._error(error, "describe") from error
        return str(meaning), str(unit)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """A sample with numbers in it. Raises InputError."""
        try:
            sample = self.problem.evaluate(point, index, origin)
        except USER_ERRORS as error:
            raise self._error(error, "evaluate") from error
        if not isinstance(sample, Sample):
            raise InputError(self.source, "evaluate", type(sample).__name__, "a Sample")
        if not math.isfinite(sample.relative_gap):
            raise InputError(self.source, "evaluate", sample.relative_gap, "a finite gap")
        if sample.lower > sample.upper:
            raise InputError(self.source, "benchmark", f"{sample.lower} to {sample.upper}", "low <= high")
        return replace(sample, scale=self.scale, features={name: float(each) for name, each in sample.features.items()})

    def features(self, point: Point) -> dict[str, float]:
        """Of an input, without a sample where the problem has a method for that (every `Case` has)."""
        if not hasattr(self.problem, "features"):
            return self.evaluate(point, 0, "random").features
        try:
            return {name: float(each) for name, each in self.problem.features(point).items()}
        except USER_ERRORS as error:
            raise self._error(error, "features") from error

    def flows(self, point: Point) -> FlowPair | None:
        """As the problem says; None where it has no flows."""
        if not self.has_flows:
            return None
        try:
            found: FlowPair | None = self.problem.flows(point)  # type: ignore[attr-defined]
        except USER_ERRORS as error:
            raise self._error(error, "flows") from error
        return found

    def check_repeatable(self) -> None:
        """Evaluate one input twice. InputError if the answers differ: nothing that follows would mean anything."""
        point = self.draw(np.random.default_rng(0))
        first, second = (self.evaluate(point, 0, "random") for _ in range(2))
        if any(getattr(first, name) != getattr(second, name) for name in ("heuristic", "lower", "upper", "feasible")):
            raise InputError(self.source, "evaluate", f"{first.relative_gap:g}, then {second.relative_gap:g}",
                             "the same answer for the same input; seed what is random from the input")

    def _error(self, error: Exception, what: str) -> Exception:
        if isinstance(error, DrexError) or not self._foreign:
            return error
        return user_error(error, self._file, f"an answer of {what} for every input; raise InfeasibleError where "
                          "there is none")
