"""KVPool: cells in equal superblocks, each serving one segment of one row while in use.

A *cell* holds K and V of one token at one layer. A *slot* is the run of cells a token owns in one segment, one
per layer: `base`, `base + stride`, ... Superblocks are equal, so that segments of different depth trade memory
without fragmenting it. One row per superblock keeps a row's cells of one layer together: reading them scattered
over the pool, interleaved with other rows', took an order of magnitude longer.

A superblock is written by one row, but prompts may share its cells (`kv.prefix_cache`), so references are counted: of
rows (the one that writes it, and each that reads cached cells in it) and of cache entries. It is free when there are
none, *idle* when only cache entries are left.
Source: design of the runtime, section KV cache; superblocks after vLLM's page pool (Kwon et al., SOSP 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from drex_runtime.errors import DrexError

Cells = NDArray[np.int64]
CellLayout = Literal["token", "layer"]

SCRATCH = 0  # the cell that padding rows and latched rows write; it belongs to nobody


class KVPoolError(DrexError):
    """The pool is out of superblocks, or one was freed that nobody owns (the latter is a defect of ours)."""


def blocks_needed(tokens: int, segment_layers: Sequence[int], block_cells: int) -> int:
    """Superblocks that one row of `tokens` tokens at full depth takes."""
    return sum(-(-tokens // (block_cells // layers)) for layers in segment_layers)


class KVPool:
    """`keys`, `values`: `[cells, KV, hd]`. Cells are numbered in 64 bits, cell 0 is scratch.

    `layout`: within a superblock a layer's cells lie side by side (`layer`) or a token's do (`token`).
    """

    def __init__(self, segment_layers: Sequence[int], num_blocks: int, block_cells: int, num_kv_heads: int,
                 head_dim: int, dtype: torch.dtype = torch.float32, layout: CellLayout = "layer") -> None:
        if block_cells < max(segment_layers):
            raise KVPoolError(f"superblocks of {block_cells} cells: expected at least the {max(segment_layers)} "
                              f"layers of the longest segment")
        self.segment_layers = tuple(segment_layers)
        self.block_cells, self.num_blocks = block_cells, num_blocks
        self.tokens_per_block = tuple(block_cells // layers for layers in segment_layers)
        by_layer = layout == "layer"
        self.strides = self.tokens_per_block if by_layer else (1,) * len(self.segment_layers)
        self.steps = (1,) * len(self.segment_layers) if by_layer else self.segment_layers  # from slot to slot
        shape = (1 + num_blocks * block_cells, num_kv_heads, head_dim)
        try:
            self.keys, self.values = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
            self.block_row = np.full(num_blocks, -1, dtype=np.int64)  # the row that writes it; -1: none (any more)
            self.block_segment = np.zeros(num_blocks, dtype=np.int64)
            self.row_uses = np.zeros(num_blocks, dtype=np.int64)
            self.cache_uses = np.zeros(num_blocks, dtype=np.int64)
        except (RuntimeError, MemoryError) as error:  # torch says RuntimeError, NumPy MemoryError
            size = 2 * shape[0] * num_kv_heads * head_dim * dtype.itemsize / 2**30
            raise KVPoolError(f"no memory for a KV pool of {size:.1f} GiB: fewer or shorter requests need less "
                              "(--kv-seqs, --max-num-seqs, --max-model-len)") from error
        self._free = np.arange(num_blocks - 1, -1, -1)
        self._top = num_blocks

    @cached_property
    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`keys`, `values` as NumPy sees them (float32 pools only); the same memory."""
        return self.keys.numpy(), self.values.numpy()

    @property
    def bytes_per_cell(self) -> int:
        """K and V of one token at one layer."""
        return 2 * self.keys[0].numel() * self.keys.element_size()

    @property
    def blocks_in_use(self) -> int:
        """Superblocks that rows hold; idle ones can be had at any time and do not count."""
        return self.num_blocks - self._top - int(self.idle.sum())

    @property
    def idle(self) -> NDArray[np.bool_]:
        """`[num_blocks]`: whether nothing but cache entries holds a superblock."""
        mask: NDArray[np.bool_] = (self.cache_uses > 0) & (self.row_uses == 0)
        return mask

    @property
    def free_blocks(self) -> Cells:
        """Superblocks in nobody's use."""
        return self._free[:self._top]

    def blocks_for(self, tokens: int) -> int:
        """Superblocks that one row of `tokens` tokens at full depth takes."""
        return blocks_needed(tokens, self.segment_layers, self.block_cells)

    def first_cells(self, blocks: Cells) -> Cells:
        """First cell of each superblock."""
        return 1 + blocks * self.block_cells

    def take(self, segment: int, rows: Cells) -> Cells:
        """One superblock of this segment for each of `rows`. KVPoolError if there are not as many."""
        if len(rows) > self._top:
            raise KVPoolError(f"the KV pool of {self.num_blocks} superblocks of {self.block_cells} cells is full")
        self._top -= len(rows)
        blocks = self._free[self._top:self._top + len(rows)][::-1].copy()
        self.block_row[blocks], self.block_segment[blocks], self.row_uses[blocks] = rows, segment, 1
        return blocks

    def give_back(self, blocks: Cells) -> None:
        """A row's reference less for each; who has none left is free. KVPoolError if there were none (or too few)."""
        self._drop(self.row_uses, blocks)

    def borrow(self, blocks: Cells) -> None:
        """A row's reference more for each: it reads cells there that another row wrote. KVPoolError if one is free."""
        self._add(self.row_uses, blocks)

    def keep(self, blocks: Cells) -> None:
        """A cache entry's reference more for each. KVPoolError if one is free."""
        self._add(self.cache_uses, blocks)

    def let_go(self, blocks: Cells) -> None:
        """A cache entry's reference less for each; as `give_back`."""
        self._drop(self.cache_uses, blocks)

    def _add(self, uses: Cells, blocks: Cells) -> None:
        if (self.row_uses[blocks] + self.cache_uses[blocks] < 1).any():
            raise KVPoolError(f"superblocks {blocks.tolist()}: one of them is used after it was freed")
        uses += np.bincount(blocks, minlength=self.num_blocks)

    def _drop(self, uses: Cells, blocks: Cells) -> None:
        counts = np.bincount(blocks, minlength=self.num_blocks)
        if (counts > uses).any():
            raise KVPoolError(f"superblocks {blocks.tolist()}: one of them is freed twice")
        uses -= counts
        freed = np.flatnonzero((counts > 0) & (self.row_uses == 0) & (self.cache_uses == 0))
        self.block_row[freed], self.block_segment[freed] = -1, 0
        self._free[self._top:self._top + freed.size] = freed[::-1]
        self._top += freed.size
