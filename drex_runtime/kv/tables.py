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
    """`base`, `stride`: int64 `[segments, rows, capacity]`; unused entries point at the scratch cell.

    `next_slot`, `slots_left` `[segments, rows]`: where the row's latest superblock of a segment goes on.
    """

    def __init__(self, pool: KVPool, num_rows: int, capacity: int = 64) -> None:
        self.pool = pool
        shape = (len(pool.segment_layers), num_rows, capacity)
        self.base = np.full(shape, SCRATCH, dtype=np.int64)
        self.stride = np.zeros(shape, dtype=np.int64)
        self.next_slot = np.zeros(shape[:2], dtype=np.int64)
        self.slots_left = np.zeros(shape[:2], dtype=np.int64)

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
        """Give each (row, position), rows distinct, a slot of its own in this segment; returns the bases."""
        at = segment - 1
        full = rows[self.slots_left[at, rows] == 0]
        if full.size:
            self._open(segment, full)
        bases: Cells = self.next_slot[at, rows]
        self.next_slot[at, rows] = bases + self.pool.steps[at]
        self.slots_left[at, rows] -= 1
        self.base[at, rows, positions] = bases
        self.stride[at, rows, positions] = self.pool.strides[at]
        return bases

    def own_run(self, segment: int, row: int, start: int, count: int) -> Cells:
        """As `own` for `count` positions of one row from `start` on."""
        at, done = segment - 1, 0
        bases = np.empty(count, dtype=np.int64)
        while done < count:
            if not self.slots_left[at, row]:
                self._open(segment, np.array([row]))
            taken = min(count - done, int(self.slots_left[at, row]))
            bases[done:done + taken] = self.next_slot[at, row] + self.pool.steps[at] * np.arange(taken)
            self.next_slot[at, row] += taken * self.pool.steps[at]
            self.slots_left[at, row] -= taken
            done += taken
        self.base[at, row, start:start + count] = bases
        self.stride[at, row, start:start + count] = self.pool.strides[at]
        return bases

    def share(self, segment: int, rows: Rows, positions: Rows) -> None:
        """These tokens left after `segment`: all deeper entries become their exit layer's cell.

        Repeating it from a deeper segment changes nothing (a shared entry has stride 0).
        """
        at = segment - 1
        last_layer = self.pool.segment_layers[at] - 1
        cells = self.base[at, rows, positions] + self.stride[at, rows, positions] * last_layer
        self.base[segment:, rows, positions] = cells
        self.stride[segment:, rows, positions] = 0

    def alias(self, row: int, bases: Cells) -> None:
        """The row's first positions read the slots `bases[segments, positions]`, which another row computed."""
        count = bases.shape[1]
        self.reserve(count)
        self.base[:, row, :count] = bases
        self.stride[:, row, :count] = np.array(self.pool.strides)[:, None]

    def blocks_of(self, bases: Cells) -> Cells:
        """The superblocks, each once, that these slots lie in."""
        return np.unique((bases - 1) // self.pool.block_cells)

    def release(self, row: int) -> None:
        """Give back what a row owns and forget its positions, those a launch broke down on included."""
        own = np.flatnonzero(self.pool.block_row == row)
        self.pool.block_row[own] = -1  # the cache may hold on to some: nobody writes there any more
        self.pool.give_back(own)
        self.base[:, row] = SCRATCH
        self.stride[:, row] = 0
        self.slots_left[:, row] = 0

    def cells(self, segment: int, row: int, length: int, offset: int) -> Cells:
        """Cells of the first `length` positions of a row at the `offset`-th layer of a segment."""
        return self.base[segment - 1, row, :length] + offset * self.stride[segment - 1, row, :length]

    def _open(self, segment: int, rows: Rows) -> None:
        self.next_slot[segment - 1, rows] = self.pool.first_cells(self.pool.take(segment, rows))
        self.slots_left[segment - 1, rows] = self.pool.tokens_per_block[segment - 1]
