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
from drex_runtime.execution.prefixes import Prefixes
from drex_runtime.execution.requests import Sequence
from drex_runtime.kv.pool import CellLayout, KVPool, blocks_needed
from drex_runtime.kv.prefix_cache import PrefixCache
from drex_runtime.kv.tables import KVTables
from drex_runtime.model import ModelConfig

MOST_OWED = 64  # tokens per request, where max_debt is not given
TOKENS_PER_BLOCK = 32  # of the longest segment, where block_cells is not given


@dataclass(frozen=True, slots=True)
class KVConfig:
    """Room for `sequences` requests of `capacity_tokens` tokens each at full depth (or more that are shorter).

    `block_cells` per superblock (None: 32 tokens of the longest segment). `layout`: see `KVPool`. `admission`: see the
    module. `watermark`: share of the superblocks that likely admission leaves free. `fill`: what deeper layers keep of
    a token that left early: its exit layer's entry, without owning memory ("share"), K and V of its exit state, owned
    and computed ("propagate"), or those of full depth, owned and computed when they are first needed ("recompute", see
    `debt`), of which a request puts off at most `max_debt` tokens (None: 64; for recompute only).

    `prefix_cache`: prompts that begin alike share K and V of what was computed once, in blocks of `prefix_block` tokens
    (`kv.prefix_cache`). Off by default: the simulator knows no such cache, charges every prompt token and decides
    differently; and who shares a server can tell from the time to the first token whether somebody sent the same
    beginning before. See docs/prefix-cache.md.
    """

    capacity_tokens: int
    block_cells: int | None = None
    layout: CellLayout = "layer"
    sequences: int = 1
    admission: Literal["likely", "full"] = "likely"
    watermark: float = 0.02
    fill: Literal["share", "propagate", "recompute"] = "share"
    max_debt: int | None = None
    prefix_cache: bool = False
    prefix_block: int = 16

    def __post_init__(self) -> None:
        for name, value in (("capacity_tokens", self.capacity_tokens), ("sequences", self.sequences),
                            ("prefix_block", self.prefix_block)):
            if not 1 <= value < 2**31:
                raise InputError("kv", name, value, f"1 to {2**31 - 1}")
        if self.admission not in ("likely", "full"):
            raise InputError("kv", "admission", self.admission, '"likely" or "full"')
        if self.fill not in ("share", "propagate", "recompute"):
            raise InputError("kv", "fill", self.fill, '"share", "propagate" or "recompute"')
        if self.max_debt is not None and (self.fill != "recompute" or self.max_debt < 1):
            raise InputError("kv", "max_debt", self.max_debt, '1 or more with fill "recompute", absent with others')
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
        self.prefixes = Prefixes(PrefixCache(self.tables, config.prefix_block)) if config.prefix_cache else None
        self.admission, self.fill = config.admission, config.fill
        self.reserve = ceil(config.watermark * blocks) if config.admission == "likely" else 0
        self._promised: dict[int, int] = {}  # superblocks by row
        # [segments, rows]: past tokens whose slots there are still to be taken (see `debt`; otherwise 0).
        self.owed = np.zeros((len(layers), num_rows), dtype=np.int64)
        self._per_block = np.array(self.pool.tokens_per_block)[:, None]

    @property
    def promised(self) -> int:
        """Superblocks promised to the requests in flight."""
        return sum(self._promised.values())

    def positions_of(self, sequence: Sequence) -> int:
        """Positions that a request is promised when it gets a place."""
        return sequence.most_positions if self.admission == "full" else sequence.next_positions

    def can_hold(self, sequences: Items[Sequence]) -> bool:
        """Whether these further requests fit beside what is promised already (and the watermark, but for the first)."""
        free = self.available(sequences) - self._outstanding()
        reserve = self.reserve if self._promised or len(sequences) > 1 else 0
        needed = sum(self.pool.blocks_for(self.positions_of(each) - self.cached(each)) for each in sequences)
        return needed + reserve <= free

    def cached(self, sequence: Sequence) -> int:
        """Prompt tokens that the prefix cache would spare this request, which has no place, if it got one now."""
        return 0 if self.prefixes is None else self.prefixes.hit(sequence).tokens

    def available(self, placing: Items[Sequence] = ()) -> int:
        """Superblocks that are free, or will be when unused cache entries are evicted.

        Without those that the requests `placing`, which have no place yet, would begin with.
        """
        free = len(self.pool.free_blocks)
        if self.prefixes is None:
            return free
        return free + int(self.prefixes.cache.evictable(self.prefixes.spared(placing)).sum())

    def make_free(self, blocks: int, placing: Items[Sequence] = ()) -> None:
        """Evict cache entries until so many superblocks are free, `available` permitting."""
        missing = blocks - len(self.pool.free_blocks)
        if missing > 0 and self.prefixes is not None:
            self.prefixes.cache.evict(missing, self.prefixes.spared(placing))

    def _outstanding(self) -> int:
        """Superblocks promised and not taken yet."""
        if not self._promised:
            return 0
        held = np.bincount(self.pool.block_row[self.pool.block_row >= 0], minlength=max(self._promised) + 1)
        return sum(max(0, promised - int(held[row])) for row, promised in self._promised.items())

    def promise(self, sequence: Sequence) -> int:
        """Set memory for this request, which has a row now, aside; returns the cached prompt tokens it begins with."""
        cached = 0 if self.prefixes is None else self.prefixes.adopt(sequence)
        self._promised[sequence.row] = self.pool.blocks_for(self.positions_of(sequence) - cached)
        return cached

    def computed(self, sequence: Sequence) -> None:
        """`sequence.prefilled` tokens of its prompt have their K and V: later prompts may begin with them."""
        if self.prefixes is not None:
            self.prefixes.enter(sequence)

    def release(self, sequence: Sequence) -> None:
        """The request leaves its row: what it holds and was promised is free (or kept by the cache while unneeded)."""
        self.tables.release(sequence.row)
        if self.prefixes is not None:
            self.prefixes.leave(sequence.row)
        self.owed[:, sequence.row] = 0
        del self._promised[sequence.row]

    def missing_for_pass(self, rows: Items[int], segment: int) -> int:
        """Superblocks that these rows take at most in a pass from this segment to the end."""
        index = np.array(rows, np.int64)
        slots = self.owed[segment - 1:, index] + 1
        blocks = -((self.tables.slots_left[segment - 1:, index] - slots) // self._per_block[segment - 1:])
        return int(blocks.clip(0).sum())

    def missing_for_run(self, row: int, count: int) -> int:
        """Superblocks that `count` further positions of a row (-1: a new one) take at full depth."""
        left = self.tables.slots_left[:, row] if row >= 0 else np.zeros(self.tables.num_segments, np.int64)
        return sum(max(0, -((int(have) - count) // per_block))
                   for have, per_block in zip(left, self.pool.tokens_per_block, strict=True))
