"""Clocks of the engine: the real one, and one that advances by a profile's costs.

Both count integer ticks from 0. Everything that costs time calls `spend` after doing the work: on the real clock
the time has passed by itself, on the fake one it passes then, so that engine and simulator run on equal clocks.
"""

from __future__ import annotations

import time
from typing import Protocol

from drex_runtime.records.ticks import TICKS_PER_SECOND, Tick


class Clock(Protocol):
    """What the engine needs of a clock."""

    def now(self) -> int:
        """Ticks since the start."""

    def spend(self, ticks: int) -> None:
        """Work that the profile prices at `ticks` was done."""

    def wait_until(self, at: int) -> None:
        """Let time pass up to `at`."""


class RealClock:
    """Monotonic wall clock; `spend` is free because the work itself took the time."""

    def __init__(self, tick: Tick = "ns") -> None:
        self._per_second = TICKS_PER_SECOND[tick]
        self._start = time.monotonic_ns()

    def now(self) -> int:
        """Ticks since construction."""
        return (time.monotonic_ns() - self._start) * self._per_second // 10**9

    def spend(self, ticks: int) -> None:
        """Nothing: the time has passed."""

    def wait_until(self, at: int) -> None:
        """Sleep until `at`."""
        left = at - self.now()
        if left > 0:
            time.sleep(left / self._per_second)


class FakeClock:
    """Advances by what the profile says; waiting takes no time."""

    def __init__(self) -> None:
        self._now = 0

    def now(self) -> int:
        """Ticks spent and waited so far."""
        return self._now

    def spend(self, ticks: int) -> None:
        """Advance by `ticks`."""
        self._now += ticks

    def wait_until(self, at: int) -> None:
        """Jump to `at` if it is ahead."""
        self._now = max(self._now, at)
