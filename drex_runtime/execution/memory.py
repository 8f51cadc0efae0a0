"""KVMemory: the pool, its tables, and what has been promised to requests in flight.

Every request is promised the memory of its longest possible output at full depth when it gets its place, so that no
launch can run out of cells. (Stated limit: admission on what is likely, with preemption, is not built.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from drex_runtime.errors import InputError
from drex_runtime.kv.pool import CellLayout, KVPool, blocks_needed
from drex_runtime.kv.tables import KVTables
from drex_runtime.model import ModelConfig

TOKENS_PER_BLOCK = 32  # of the longest segment, where block_cells is not given


@dataclass(frozen=True, slots=True)
class KVConfig:
    """Room for `sequences` requests of `capacity_tokens` tokens each at full depth (or more that are shorter).

    `block_cells` per superblock (None: 32 tokens of the longest segment). `layout`: see `KVPool`.
    """

    capacity_tokens: int
    block_cells: int | None = None
    layout: CellLayout = "layer"
    sequences: int = 1

    def __post_init__(self) -> None:
        for name, value in (("capacity_tokens", self.capacity_tokens), ("sequences", self.sequences)):
            if value < 1:
                raise InputError("kv", name, value, "1 or more")


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
        self.promised = 0  # superblocks

    def can_hold(self, positions: Sequence[int]) -> bool:
        """Whether further requests of so many positions each fit beside what is promised already."""
        return self.promised + sum(self.pool.blocks_for(each) for each in positions) <= self.pool.num_blocks

    def promise(self, positions: int) -> None:
        """Set memory for a request of so many positions aside."""
        self.promised += self.pool.blocks_for(positions)

    def take_back(self, positions: int) -> None:
        """The request that was promised so many positions is gone."""
        self.promised -= self.pool.blocks_for(positions)
