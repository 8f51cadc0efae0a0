"""What a search tells while it runs, and what is kept of it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from xplain.records import Sample, Scale, SearchTrace


class Progress(Protocol):
    """Called after every batch: method, share of the budget spent (0 to 1), evaluations, best relative gap so far."""

    def __call__(self, method: str, spent: float, evaluations: int, best: float) -> None: ...


class Recorder:
    """Collects the improvements of one method on the axes of the whole search.

    `best` is the incumbent it was handed after `seconds` and `evaluations` of others.
    """

    def __init__(self, method: str, scale: Scale, *, seconds: float = 0.0, evaluations: int = 0,
                 best: float | None = None) -> None:
        self._method, self._scale = method, scale
        self.evaluations = 0
        self.seconds = 0.0
        self._improvements: list[tuple[float, int, float]] = [] if best is None else [(seconds, evaluations, best)]

    @property
    def best(self) -> float:
        """Best relative gap so far; minus infinity before the first sample."""
        return self._improvements[-1][2] if self._improvements else float("-inf")

    def add(self, samples: Iterable[Sample], *, took: float, seconds: float, evaluations: int) -> None:
        """Samples of one turn that `took` seconds and ended `seconds` after the search began; `evaluations` inputs had
        been evaluated before it."""
        self.seconds += took
        for number, sample in enumerate(samples, start=1):
            self.evaluations += 1
            if sample.relative_gap > self.best:
                self._improvements.append((seconds, evaluations + number, sample.relative_gap))

    def trace(self) -> SearchTrace:
        """The record; `best` is 0 if nothing was evaluated."""
        best = self.best if self._improvements else 0.0
        return SearchTrace(self._method, self._scale, self.evaluations, self.seconds, best, tuple(self._improvements))
