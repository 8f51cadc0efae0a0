"""Regret shares: what of a workload's loss each cause is to blame for, as vectors that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xplain.records import Attribution
from xplain.records.cluster import CauseShare

NOBODY = frozenset(("order", "gain", "unexamined"))  # kinds that no rule is to blame for
Floats = npt.NDArray[np.float64]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Shares:
    """Row i: the shares of attribution i over `keys` (kind, rule, atom); rows sum to 1."""

    keys: tuple[Key, ...]
    rows: Floats
    samples: tuple[int, ...]

    def of(self, chosen: npt.NDArray[np.bool_]) -> Floats:
        """Mean shares of some rows."""
        mean: Floats = self.rows[chosen].mean(axis=0)
        return mean

    def dominant(self) -> npt.NDArray[np.int64]:
        """Per row, the column of its largest share among causes that a rule is to blame for (-1: none)."""
        blamed = np.array([key[0] not in NOBODY for key in self.keys], dtype=bool)
        if not len(self.rows) or not blamed.any():
            return np.full(len(self.rows), -1)
        rows = np.where(blamed, self.rows, -1.0)
        return np.where(rows.max(axis=1) > 0, rows.argmax(axis=1), -1)


def shares_of(attributions: Sequence[Attribution], keys: Iterable[Key] | None = None) -> Shares:
    """Shares of those attributions that lose anything. What a policy gains on its reference is left out: losses are
    divided by the sum of losses."""
    losing = [(item, sum(max(0, cause.ticks) for cause in item.causes)) for item in attributions]
    losing = [(item, total) for item, total in losing if item.gap > 0 and total > 0]
    found = tuple(keys) if keys is not None else tuple(sorted({
        (cause.kind, cause.rule, cause.atom) for item, _ in losing for cause in item.causes if cause.ticks > 0}))
    column = {key: k for k, key in enumerate(found)}
    rows = np.zeros((len(losing), len(found)))
    for i, (item, total) in enumerate(losing):
        for cause in item.causes:
            if cause.ticks > 0:
                rows[i, column[cause.kind, cause.rule, cause.atom]] += cause.ticks / total
    return Shares(found, rows, tuple(item.sample for item, _ in losing))


def listed(keys: Sequence[Key], mean: Floats) -> tuple[CauseShare, ...]:
    """Mean shares, largest first, what is under one per cent left out."""
    order = sorted(range(len(keys)), key=lambda k: (-mean[k], keys[k]))
    return tuple(CauseShare(*keys[k], float(mean[k])) for k in order if mean[k] >= 0.01)
