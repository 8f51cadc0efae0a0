"""When a token may leave: its confidence exceeds the ramp's threshold, or a script says so."""

from __future__ import annotations

from collections.abc import Sequence as Items
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.requests import Sequence
from drex_runtime.model import confidence, exit_ready


class ExitRule:
    """Readiness of rows at a ramp. Scripted requests follow their depths, the others their confidence.

    A request's own `exit_threshold` replaces the ramps'. `logits` are raw, hard masks apart: bias and penalties
    change which token is chosen, not how sure the model is.

    The forward is real in both cases: a script replaces the comparison with the threshold, nothing else.
    """

    def __init__(self, kind: str, thresholds: Items[Fraction]) -> None:
        self.kind, self.thresholds = kind, tuple(thresholds)

    def ready(self, ramp: int, logits: Tensor, batch: Items[Sequence]) -> NDArray[np.bool_]:
        """Which rows of `logits[rows, V]` may leave at `ramp` (from 1); a latched row always may."""
        threshold = self.thresholds[ramp - 1]
        own = any(sequence.params.exit_threshold is not None for sequence in batch)
        if all(sequence.scripted for sequence in batch):
            confidence(logits, self.kind)  # its time is part of a ramp's price, which scripted runs measure
            sure = np.zeros(len(batch), dtype=np.bool_)
        elif threshold >= 1 and not own:
            sure = np.zeros(len(batch), dtype=np.bool_)
        elif own:
            sure = self._ready_by_request(confidence(logits, self.kind), float(threshold), batch)
        else:
            sure = exit_ready(confidence(logits, self.kind), threshold).numpy().copy()
        for at, sequence in enumerate(batch):
            if sequence.latched:
                sure[at] = True
            elif sequence.scripted:
                sure[at] = sequence.spec.depths[sequence.emitted] <= ramp
        return sure

    @staticmethod
    def _ready_by_request(sure: Tensor, threshold: float, batch: Items[Sequence]) -> NDArray[np.bool_]:
        """As `exit_ready`, each row against its own threshold in float32."""
        own = [sequence.params.exit_threshold for sequence in batch]
        limits = np.array([threshold if each is None else each for each in own], dtype=np.float32)
        ready: NDArray[np.bool_] = (sure.numpy() > limits) & (limits < 1)
        return ready
