"""Observer: who looks on while an engine runs (recordings, traces). The engine calls, an observer decides nothing.

Hooks run inside the step: they must be quick and must not change what they are shown. One that raises is logged and
costs no request anything (a full disk is theirs to report, not the engine's to die of).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.requests import Sequence

if TYPE_CHECKING:
    from drex_runtime.execution.scheduler import Launch

logger = logging.getLogger("drex_runtime.engine")


class Observer:
    """Every hook does nothing; override those you need."""

    def launched(self, launch: Launch, now: int) -> None:
        """A launch (not IDLE) begins at `now` ticks; its rows are still in their pool."""

    def consulted(self, ramp: int, batch: Items[Sequence], logits: Tensor, ready: NDArray[np.bool_]) -> None:
        """The policy consulted `ramp`: its logits `[rows, V]` and which rows may leave, in the batch's order."""

    def skipped(self, ramp: int, batch: Items[Sequence], logits: Callable[[], Tensor]) -> None:
        """The policy passed `ramp` by; `logits()` evaluates it all the same (that costs a head's time)."""

    def finished(self, sequence: Sequence) -> None:
        """The request is over, with `sequence.finished` saying how."""


def tell(observers: Iterable[Observer], hook: Callable[[Observer], None]) -> None:
    """Call a hook of every observer."""
    for observer in observers:
        try:
            hook(observer)
        except Exception:  # metrics or a recording must not cost a client its answer
            logger.exception("an observer failed: %s", type(observer).__name__)
