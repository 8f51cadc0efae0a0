"""What a search may still spend: states and seconds, handed out to the kernels in portions."""

from __future__ import annotations

from time import perf_counter

from xplain.encodings.exact.results import Limits, Stopped

FIRST_PORTION = 1
LOOK_EVERY = 0.01  # seconds between two looks at the clock, roughly
MAX_PORTION = 4096


class Meter:
    """Counts the states of one question against its limits; kernels stop after each portion to look at the clock.

    The time of a state varies by four orders of magnitude with the size of the problem, so portions grow and
    shrink with what the last one took.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes = 0
        self.began = self._looked = perf_counter()
        self._portion = FIRST_PORTION

    def exhausted(self) -> Stopped | None:
        """Why the search has to stop now; None: it may go on."""
        if self.limits.nodes is not None and self.nodes >= self.limits.nodes:
            return "nodes"
        if self.limits.seconds is not None and perf_counter() - self.began >= self.limits.seconds:
            return "seconds"
        return None

    def portion(self, at_most: int = MAX_PORTION) -> int:
        """States that a kernel may expand before it looks up; call `spend` after it."""
        self._looked = perf_counter()
        left = at_most if self.limits.nodes is None else min(at_most, self.limits.nodes - self.nodes)
        return min(self._portion, left)

    def spend(self, states: int) -> None:
        """Account for the states that the last portion expanded."""
        self.nodes += states
        took = perf_counter() - self._looked
        if took > 2 * LOOK_EVERY:
            self._portion = max(1, self._portion // 4)
        elif took < LOOK_EVERY / 2 and states >= self._portion:
            self._portion = min(MAX_PORTION, 4 * self._portion)

    @property
    def seconds(self) -> float:
        """Wall clock since the question was asked."""
        return perf_counter() - self.began
