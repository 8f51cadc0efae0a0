"""The clock of a gap method: its time limit, and what it knew when."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from drex_runtime.errors import LimitError, RecordError
from xplain.encodings.gap.answer import Progress

OnProgress = Callable[[Progress], None]
EVERY = 0.2  # seconds between two reports of an upper bound that creeps down


class TimeUpError(LimitError):
    """The time limit was reached before there was anything to report; the message says what was being done."""


class Watch:
    """Starts now. `seconds`: limit (None: none); RecordError if negative."""

    def __init__(self, seconds: float | None, on_progress: OnProgress | None = None) -> None:
        if seconds is not None and not seconds >= 0:
            raise RecordError("gap method", "seconds", seconds, "0 or more seconds, or None for no limit")
        self.began, self.limit, self._on_progress = perf_counter(), seconds, on_progress
        self.reports: list[Progress] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return perf_counter() - self.began

    def remaining(self) -> float | None:
        """Seconds left (None: no limit)."""
        return None if self.limit is None else max(0.0, self.limit - self.elapsed)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.limit is not None and self.elapsed >= self.limit

    def note(self, lower: int | None, upper: int | None) -> None:
        """Report bounds: always when `lower` is new, else every now and then when `upper` is."""
        last = self.reports[-1] if self.reports else Progress(-EVERY, None, None)
        if (lower, upper) == (last.lower, last.upper):
            return
        now = self.elapsed
        if lower == last.lower and lower != upper and now - last.seconds < EVERY:
            return
        self.reports.append(Progress(now, lower, upper))
        if self._on_progress is not None:
            self._on_progress(self.reports[-1])
