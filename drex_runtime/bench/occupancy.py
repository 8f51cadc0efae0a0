"""What a KV pool holds while an engine runs: requests in flight, and how many cells a token of them owns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from drex_runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class Occupancy:
    """One run, sampled after every step that leaves requests in flight.

    `mean_in_flight`, `most_in_flight`: requests that hold a place. `cells_per_token`: cells owned per token whose
    entries are in the pool (at full depth: one per layer), mean over tokens. `bytes_saved`: what the tokens in the
    pool would own beyond that at full depth, mean over steps.
    """

    mean_in_flight: float
    most_in_flight: int
    cells_per_token: float
    bytes_saved: float

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class OccupancyWatch:
    """Samples an engine; call `look` after each step."""

    def __init__(self, engine: Engine) -> None:
        self._scheduler, self._tables = engine.scheduler, engine.runner.memory.tables
        self._in_flight: list[int] = []
        self._tokens: list[int] = []
        self._cells: list[int] = []

    def look(self) -> None:
        """Take one sample."""
        if not self._scheduler.in_flight:
            return
        tables, pool = self._tables, self._tables.pool
        held = np.bincount(pool.block_segment[pool.block_row >= 0], minlength=tables.num_segments + 1)[1:]
        slots = held * np.array(pool.tokens_per_block) - tables.slots_left.sum(axis=1)
        self._in_flight.append(self._scheduler.in_flight)
        self._tokens.append(int(slots[0]))  # every token owns a slot of the first segment
        self._cells.append(int(slots @ np.array(pool.segment_layers)))

    def found(self) -> Occupancy:
        """All samples; zeros if nothing was ever in flight."""
        if not self._in_flight:
            return Occupancy(0.0, 0, 0.0, 0.0)
        pool, tokens, cells = self._tables.pool, sum(self._tokens), sum(self._cells)
        full = sum(pool.segment_layers)
        return Occupancy(fmean(self._in_flight), max(self._in_flight), cells / max(1, tokens),
                         (full * tokens - cells) * pool.bytes_per_cell / len(self._in_flight))
