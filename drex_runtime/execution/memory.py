"""KVMemory: the pool, its tables, and what has been promised to requests in flight.

Every request is promised the memory of its longest possible output at full depth when it gets its place, so that no
launch can run out of cells. (Stated limit: admission on what is likely, with preemption, is not built.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from drex_runtime.errors import InputError
from drex_runtime.kv.pool import CellLayout, KVPool, blocks_needed
from drex_runtime.kv.tables import KVTables
from drex_runtime.model import ModelConfig


@dataclass(frozen=True, slots=True)
class KVConfig:
    """`capacity_tokens`: tokens at full depth the pool holds for certain. `block_cells` per superblock (None: chosen).

    `layout`: see `KVPool`.
    """

    capacity_tokens: int
    block_cells: int | None = None
    layout: CellLayout = "token"

    def __post_init__(self) -> None:
        if self.capacity_tokens < 1:
            raise InputError("kv", "capacity_tokens", self.capacity_tokens, "1 or more")


TOKENS_PER_BLOCK = 32  # of the longest segment, where block_cells is not given


class KVMemory:
    """KV cache of an engine with `num_rows` rows (the scratch row included)."""

    def __init__(self, model: ModelConfig, config: KVConfig, num_rows: int, dtype: torch.dtype) -> None:
        layers = [len(model.segment_layers(segment)) for segment in range(1, model.num_segments + 1)]
        block_cells = config.block_cells or TOKENS_PER_BLOCK * max(layers)
        if block_cells < max(layers):
            raise InputError("kv", "block_cells", block_cells, f"at least the longest segment's {max(layers)} layers")
        blocks = blocks_needed(config.capacity_tokens, layers, block_cells)
        self.pool = KVPool(layers, blocks, block_cells, model.num_kv_heads, model.head_dim, dtype, config.layout)
        self.tables = KVTables(self.pool, num_rows)
        self.promised = 0

    def can_hold(self, positions: int) -> bool:
        """Whether one more request of so many positions fits beside what is promised already."""
        return self.pool.blocks_for(self.promised + positions) <= self.pool.num_blocks

    def promise(self, positions: int) -> None:
        """Set memory for so many positions aside."""
        self.promised += positions

    def take_back(self, positions: int) -> None:
        """The request that was promised so many positions is gone."""
        self.promised -= positions
