"""KVTables: per row, segment and position, where K and V lie.

Layer l of segment s reads cell `base + stride * (l - first layer of s)`. A token that computed the segment owns a
slot there (stride >= 1); one that left before it owns nothing: its entry is the cell of its *exit layer*, the last
layer of the segment it left after, with stride 0. This is state copying without a copy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drex_runtime.kv.pool import SCRATCH, Cells, KVPool

Rows = NDArray[np.int64]


class KVTables:
    """`base`, `stride`: int64 `[segments, rows, capacity]`; unused entries point at the scratch cell."""

    def __init__(self, pool: KVPool, num_rows: int, capacity: int = 64) -> None:
        self.pool = pool
        self._last_layer = [layers - 1 for layers in pool.segment_layers]
        shape = (len(pool.segment_layers), num_rows, capacity)
        self.base = np.full(shape, SCRATCH, dtype=np.int64)
        self.stride = np.zeros(shape, dtype=np.int64)

    @property
    def num_segments(self) -> int:
        """K + 1."""
        return len(self.base)

    @property
    def capacity(self) -> int:
        """Positions a row can have before the tables grow."""
        return int(self.base.shape[2])

    def reserve(self, positions: int) -> None:
        """Room for `positions` positions per row; grows by doubling (addresses only, never K or V)."""
        if positions <= self.capacity:
            return
        more = max(positions, 2 * self.capacity) - self.capacity
        self.base = np.pad(self.base, ((0, 0), (0, 0), (0, more)), constant_values=SCRATCH)
        self.stride = np.pad(self.stride, ((0, 0), (0, 0), (0, more)))

    def own(self, segment: int, rows: Rows, positions: Rows) -> Cells:
        """Give each (row, position) a slot of its own in this segment; returns the bases."""
        bases = self.pool.allocate(segment, len(rows))
        self.base[segment - 1, rows, positions] = bases
        self.stride[segment - 1, rows, positions] = self.pool.strides[segment - 1]
        return bases

    def share(self, segment: int, rows: Rows, positions: Rows) -> None:
        """These tokens left after `segment`: all deeper entries become their exit layer's cell.

        Repeating it from a deeper segment changes nothing (a shared entry has stride 0).
        """
        at = segment - 1
        cells = self.base[at, rows, positions] + self.stride[at, rows, positions] * self._last_layer[at]
        self.base[segment:, rows, positions] = cells
        self.stride[segment:, rows, positions] = 0

    def release(self, row: int, length: int) -> None:
        """Free everything the first `length` positions of a row own and forget the row."""
        for segment in range(1, self.num_segments + 1):
            owned = self.stride[segment - 1, row, :length] > 0
            self.pool.free(segment, self.base[segment - 1, row, :length][owned])
        self.base[:, row, :length] = SCRATCH
        self.stride[:, row, :length] = 0

    def cells(self, segment: int, row: int, length: int, offset: int) -> Cells:
        """Cells of the first `length` positions of a row at the `offset`-th layer of a segment."""
        return self.base[segment - 1, row, :length] + offset * self.stride[segment - 1, row, :length]
