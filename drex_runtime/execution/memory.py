"""KVMemory: the pool, its tables, and what has been promised to requests in flight.

A request that gets a place is promised the memory for what is likely (`admission` "likely": its prompt, what is out
so far and the next token, beside a watermark of free memory) or for its longest possible output at full depth
("full"). What likely admission does not foresee is made good by preemption, see `room`; with full it cannot happen.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
import torch

from drex_runtime.errors import InputError
from drex_runtime.execution.requests import Sequence
from drex_runtime.kv.pool import CellLayout, KVPool, blocks_needed
from drex_runtime.kv.tables import KVTables
from drex_runtime.model import ModelConfig

TOKENS_PER_BLOCK = 32  # of the longest segment, where block_cells is not given


@dataclass(frozen=True, slots=True)
class KVConfig:
    """Room for `sequences` requests of `capacity_tokens` tokens each at full depth (or more that are shorter).

    `block_cells` per superblock (None: 32 tokens of the longest segment). `layout`: see `KVPool`. `admission`: see the
    module. `watermark`: share of the superblocks that likely admission leaves free. `fill`: what deeper layers keep of
    a token that left early: its exit layer's entry, without owning memory ("share"), or K and V of its exit state,
    owned and computed ("propagate").
    """

    capacity_tokens: int
    block_cells: int | None = None
    layout: CellLayout = "layer"
    sequences: int = 1
    admission: Literal["likely", "full"] = "likely"
    watermark: float = 0.02
    fill: Literal["share", "propagate"] = "share"

    def __post_init__(self) -> None:
        for name, value in (("capacity_tokens", self.capacity_tokens), ("sequences", self.sequences)):
            if not 1 <= value < 2**31:
                raise InputError("kv", name, value, f"1 to {2**31 - 1}")
        if self.admission not in ("likely", "full"):
            raise InputError("kv", "admission", self.admission, '"likely" or "full"')
        if self.fill not in ("share", "propagate"):
            raise InputError("kv", "fill", self.fill, '"share" or "propagate" (the engine has no "recompute")')
        if not 0 <= self.watermark < 1:
            raise InputError("kv", "watermark", self.watermark, "a share from 0 to below 1")


class KVMemory:
    """KV cache of an engine with `num_rows` rows (the scratch row included)."""

    def __init__(self, model: ModelConfig, config: KVConfig, num_rows: int, dtype: torch.dtype) -> None:
        layers = [model.kv_layers(segment) for segment in range(1, model.num_segments + 1)]
        block_cells = config.block_cells or TOKENS_PER_BLOCK * max(layers)
        if block_cells < max(layers):
            raise InputError("kv", "block_cells", block_cells, f"at least the longest segment's {max(layers)} layers")
        blocks = config.sequences * blocks_needed(config.capacity_tokens, layers, block_cells)
        self.pool = KVPool(layers, blocks, block_cells, model.num_kv_heads, model.head_dim, dtype, config.layout)
        self.tables = KVTables(self.pool, num_rows)
        self.admission, self.fill = config.admission, config.fill
        self.reserve = ceil(config.watermark * blocks) if config.admission == "likely" else 0
        self._promised: dict[int, int] = {}  # superblocks by row

    @property
    def promised(self) -> int:
        """Superblocks promised to the requests in flight."""
        return sum(self._promised.values())

    def positions_of(self, sequence: Sequence) -> int:
        """Positions that a request is promised when it gets a place."""
        return sequence.most_positions if self.admission == "full" else sequence.next_positions

    def can_hold(self, sequences: Items[Sequence]) -> bool:
        """Whether these further requests fit beside what is promised already (and the watermark, but for the first)."""
        free = len(self.pool.free_blocks) - self._outstanding()
        reserve = self.reserve if self._promised or len(sequences) > 1 else 0
        return sum(self.pool.blocks_for(self.positions_of(each)) for each in sequences) + reserve <= free

    def _outstanding(self) -> int:
        """Superblocks promised and not taken yet."""
        if not self._promised:
            return 0
        held = np.bincount(self.pool.block_row[self.pool.block_row >= 0], minlength=max(self._promised) + 1)
        return sum(max(0, promised - int(held[row])) for row, promised in self._promised.items())

    def promise(self, sequence: Sequence) -> None:
        """Set memory for this request, which has a row now, aside."""
        self._promised[sequence.row] = self.pool.blocks_for(self.positions_of(sequence))

    def release(self, sequence: Sequence) -> None:
        """The request leaves its row: what it holds and was promised is free."""
        self.tables.release(sequence.row, sequence.positions)
        del self._promised[sequence.row]

    def missing_for_pass(self, rows: Items[int], segment: int) -> int:
        """Superblocks that these rows take at most in a pass from this segment to the end."""
        return int((self.tables.slots_left[segment - 1:, np.array(rows, np.int64)] == 0).sum())

    def missing_for_run(self, row: int, count: int) -> int:
        """Superblocks that `count` further positions of a row (-1: a new one) take at full depth."""
        left = self.tables.slots_left[:, row] if row >= 0 else np.zeros(self.tables.num_segments, np.int64)
        return sum(max(0, -((int(have) - count) // per_block))
                   for have, per_block in zip(left, self.pool.tokens_per_block, strict=True))
