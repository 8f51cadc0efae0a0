"""The last durations of one kind of work. Integers in, an integer out, so that equal runs give equal estimates."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from drex_runtime.errors import LimitError


class Window:
    """At most `size` durations in ticks; the estimate is their lower median.

    A median, not a mean: one launch that the operating system interrupted must not move a threshold.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise LimitError(f"window of {size} durations: expected 1 or more")
        self._last: deque[int] = deque(maxlen=size)
        self._sorted: list[int] = []

    def __len__(self) -> int:
        return len(self._last)

    def add(self, ticks: int) -> None:
        """A duration was seen; the oldest is forgotten once the window is full. LimitError if it is negative."""
        if ticks < 0:
            raise LimitError(f"a duration of {ticks} ticks: a clock never runs backwards")
        if len(self._last) == self._last.maxlen:
            self._sorted.pop(bisect_left(self._sorted, self._last[0]))
        self._last.append(ticks)
        insort(self._sorted, ticks)

    @property
    def estimate(self) -> int | None:
        """The lower median, None if nothing was seen."""
        return self._sorted[(len(self._sorted) - 1) // 2] if self._sorted else None
