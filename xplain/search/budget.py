"""How long a search may go on: a number of evaluations, a number of seconds, or whichever ends first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from drex_runtime.errors import InputError


@dataclass(frozen=True)
class Budget:
    """At least one of the two limits. Only a search without a limit in seconds gives the same samples every time."""

    evaluations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations is None and self.seconds is None:
            raise InputError("search budget", "evaluations", None, "a number of evaluations or of seconds")
        if self.evaluations is not None and self.evaluations < 1:
            raise InputError("search budget", "evaluations", self.evaluations, "at least 1")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError("search budget", "seconds", self.seconds, "more than 0")

    @property
    def reproducible(self) -> bool:
        """Whether the seed alone decides which samples are made."""
        return self.seconds is None

    def share(self, part: float) -> Budget:
        """The same kind of budget, `part` of its size (at least one evaluation)."""
        evaluations = None if self.evaluations is None else max(1, round(self.evaluations * part))
        return Budget(evaluations, None if self.seconds is None else self.seconds * part)


class Meter:
    """A budget being spent. `clock` in seconds, replaceable in tests."""

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.evaluations = 0
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the search began."""
        return self._clock() - self._started

    @property
    def out_of_time(self) -> bool:
        """Whether the limit in seconds has passed (never, if there is none)."""
        return self.budget.seconds is not None and self.seconds >= self.budget.seconds

    @property
    def spent(self) -> float:
        """Share of the budget that is gone, 0 to 1: the larger one if both limits are set."""
        parts = [0.0]
        if self.budget.evaluations is not None:
            parts.append(self.evaluations / self.budget.evaluations)
        if self.budget.seconds is not None:
            parts.append(self.seconds / self.budget.seconds)
        return min(1.0, max(parts))

    def allowed(self, wanted: int) -> int:
        """How many of `wanted` evaluations may be started now."""
        if self.out_of_time:
            return 0
        if self.budget.evaluations is None:
            return wanted
        return max(0, min(wanted, self.budget.evaluations - self.evaluations))
