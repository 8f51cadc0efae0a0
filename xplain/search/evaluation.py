"""Evaluates batches of inputs, in order, on one thread or several.

Threads suffice: an evaluation is a compiled simulation that releases the interpreter lock. Which batches are formed
never depends on the number of threads, so results do not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from joblib import Parallel, delayed

from drex_runtime.errors import InputError
from xplain.problems.interface import Problem
from xplain.records import Origin, Point, Sample
from xplain.search.budget import Meter


class Evaluator:
    """A context that evaluates points of one problem while a budget lasts."""

    def __init__(self, problem: Problem, meter: Meter, jobs: int) -> None:
        if jobs < 1:
            raise InputError("search", "jobs", jobs, "at least 1")
        self._problem, self._meter = problem, meter
        self._pool = Parallel(n_jobs=jobs, prefer="threads") if jobs > 1 else None

    def __enter__(self) -> Evaluator:
        if self._pool is not None:
            self._pool.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, trace)

    def evaluate(self, points: Sequence[Point], first_index: int, origin: Origin) -> list[Sample | None]:
        """Samples in the order of `points`, indices counted from `first_index`.

        None for points that were not started: those beyond the limit of evaluations, and those whose turn came
        after the limit in seconds had passed.
        """
        allowed = self._meter.allowed(len(points))
        numbered = list(enumerate(points[:allowed], start=first_index))
        if self._pool is None:
            found = [self._one(point, index, origin) for index, point in numbered]
        else:
            found = self._pool(delayed(self._one)(point, index, origin) for index, point in numbered)
        self._meter.evaluations += sum(sample is not None for sample in found)
        return found + [None] * (len(points) - allowed)

    def _one(self, point: Point, index: int, origin: Origin) -> Sample | None:
        return None if self._meter.out_of_time else self._problem.evaluate(point, index, origin)
