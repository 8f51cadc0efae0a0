"""How requests end: by themselves, by an error of their own, or with the launch that broke down; who is told."""

from __future__ import annotations

from drex_runtime.execution.observer import Observer, tell
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scheduler import Launch, Scheduler
from drex_runtime.execution.statistics import Statistics


class Endings:
    """Ends requests of one engine; `observers` is the engine's own list."""

    def __init__(self, scheduler: Scheduler, statistics: Statistics, observers: list[Observer]) -> None:
        self._scheduler, self._statistics, self._observers = scheduler, statistics, observers

    def tell(self, sequence: Sequence) -> None:
        """The request is over: observers learn of it."""
        tell(self._observers, lambda observer: observer.finished(sequence))

    def with_error(self, sequence: Sequence) -> None:
        """The request, which holds no place any more, ends with what `sequence.error` says."""
        sequence.finished = "error"
        self._statistics.failed_requests += 1
        self.tell(sequence)

    def with_launch(self, launch: Launch, error: Exception) -> None:
        """End the requests of a launch that broke down; their rows and memory are free."""
        concerned = {*self._scheduler.adrift(), *(sequence for sequence, _ in launch.chunks)}
        for sequence in sorted(concerned, key=lambda each: each.index):
            self._scheduler.withdraw(sequence)
            if sequence.finished is None:
                sequence.error = f"{type(error).__name__}: {error}"
                self.with_error(sequence)
