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

    The forward is real in both cases: a script replaces the comparison with the threshold, nothing else.
    """

    def __init__(self, kind: str, thresholds: Items[Fraction]) -> None:
        self.kind, self.thresholds = kind, tuple(thresholds)

    def ready(self, ramp: int, logits: Tensor, batch: Items[Sequence]) -> NDArray[np.bool_]:
        """Which rows of `logits[rows, V]` may leave at `ramp` (from 1); a latched row always may."""
        threshold = self.thresholds[ramp - 1]
        if threshold >= 1 or all(sequence.scripted for sequence in batch):
            sure = np.zeros(len(batch), dtype=np.bool_)
        else:
            sure = exit_ready(confidence(logits, self.kind), threshold).numpy().copy()
        for at, sequence in enumerate(batch):
            if sequence.latched:
                sure[at] = True
            elif sequence.scripted:
                sure[at] = sequence.spec.depths[sequence.emitted] <= ramp
        return sure
