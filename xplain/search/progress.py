"""What a search tells while it runs, and what is kept of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from xplain.records import Sample, Scale, SearchTrace


class Progress(Protocol):
    """Called after every batch: method, share of the budget spent (0 to 1), evaluations, best relative gap so far."""

    def __call__(self, method: str, spent: float, evaluations: int, best: float) -> None: ...


class Recorder:
    """Collects the improvements of one method.

    A method that takes its turn after others counts on: `seconds` and `evaluations` start where they stopped and
    `best` is the incumbent it was handed, so that the curves of a portfolio share their axes.
    """

    def __init__(self, method: str, scale: Scale, *, seconds: float = 0.0, evaluations: int = 0,
                 best: float | None = None) -> None:
        self._method, self._scale = method, scale
        self._offset = (seconds, evaluations)
        self._evaluations = 0
        self._seconds = 0.0
        self._improvements: list[tuple[float, int, float]] = [] if best is None else [(seconds, evaluations, best)]

    @property
    def best(self) -> float:
        """Best relative gap so far; minus infinity before the first sample."""
        return self._improvements[-1][2] if self._improvements else float("-inf")

    def add(self, samples: Iterable[Sample], seconds: float) -> None:
        """Samples that were finished `seconds` after this method began."""
        self._seconds = seconds
        for sample in samples:
            self._evaluations += 1
            if sample.relative_gap > self.best:
                at = (self._offset[0] + seconds, self._offset[1] + self._evaluations, sample.relative_gap)
                self._improvements.append(at)

    def trace(self) -> SearchTrace:
        """The record; `evaluations` and `seconds` are this method's own. `best` is 0 if nothing was evaluated."""
        best = self.best if self._improvements else 0.0
        return SearchTrace(self._method, self._scale, self._evaluations, self._seconds, best, tuple(self._improvements))
