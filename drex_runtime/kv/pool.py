"""KVPool: cells in equal superblocks, each serving one segment while in use.

A *cell* holds K and V of one token at one layer. A *slot* is the run of cells a token owns in one segment, one
per layer: `base`, `base + stride`, ... Superblocks are equal, so that segments of different depth trade memory
without fragmenting it; a superblock whose slots are all free returns to whoever needs one.
Source: design of the runtime, section KV cache; superblocks after vLLM's page pool (Kwon et al., SOSP 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from drex_runtime.errors import DrexError

Cells = NDArray[np.int64]
CellLayout = Literal["token", "layer"]

SCRATCH = 0  # the cell that padding rows and latched rows write; it belongs to nobody


class KVPoolError(DrexError):
    """The pool is out of cells, or a cell was freed that nobody owns (the latter is a defect of ours)."""


def blocks_needed(tokens: int, segment_layers: Sequence[int], block_cells: int) -> int:
    """Superblocks that always suffice for `tokens` tokens at full depth, whatever was freed in between.

    A segment opens a superblock only when all its slots are taken, so it never holds more than this many.
    """
    return sum(-(-tokens // (block_cells // layers)) for layers in segment_layers)


class KVPool:
    """`keys`, `values`: `[cells, KV, hd]`. Cells are numbered in 64 bits, cell 0 is scratch.

    `layout`: within a superblock a token's layers lie side by side (`token`) or a layer's tokens do (`layer`).
    """

    def __init__(self, segment_layers: Sequence[int], num_blocks: int, block_cells: int, num_kv_heads: int,
                 head_dim: int, dtype: torch.dtype = torch.float32, layout: CellLayout = "token") -> None:
        if block_cells < max(segment_layers):
            raise KVPoolError(f"superblocks of {block_cells} cells: expected at least the {max(segment_layers)} "
                              f"layers of the longest segment")
        self.segment_layers = tuple(segment_layers)
        self.block_cells, self.num_blocks = block_cells, num_blocks
        self.tokens_per_block = tuple(block_cells // layers for layers in segment_layers)
        self.strides = tuple(1 if layout == "token" else tokens for tokens in self.tokens_per_block)
        shape = (1 + num_blocks * block_cells, num_kv_heads, head_dim)
        self.keys, self.values = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
        self.owned = np.zeros(shape[0], dtype=np.bool_)  # at the base of each slot in use
        self.block_segment = np.zeros(num_blocks, dtype=np.int64)  # 0: in nobody's use
        self.block_live = np.zeros(num_blocks, dtype=np.int64)  # slots in use
        self._free_blocks = list(range(num_blocks - 1, -1, -1))
        most = [num_blocks * tokens for tokens in self.tokens_per_block]
        self._slots = [np.empty(count, dtype=np.int64) for count in most]  # stacks of free slots per segment
        self._tops = [0] * len(self.segment_layers)

    @property
    def bytes_per_cell(self) -> int:
        """K and V of one token at one layer."""
        return 2 * self.keys[0].numel() * self.keys.element_size()

    def blocks_for(self, tokens: int) -> int:
        """Superblocks that always suffice for `tokens` tokens at full depth."""
        return blocks_needed(tokens, self.segment_layers, self.block_cells)

    def cells_in_use(self) -> int:
        """Cells of the slots in use (what is owned, not what superblocks hold)."""
        layers = np.array((0, *self.segment_layers))
        return int((self.block_live * layers[self.block_segment]).sum())

    def free_slots(self, segment: int) -> Cells:
        """Free slots of superblocks that serve this segment now."""
        return self._slots[segment - 1][:self._tops[segment - 1]]

    def blocks_of(self, bases: Cells) -> Cells:
        """Superblock of each slot."""
        return (bases - 1) // self.block_cells

    def allocate(self, segment: int, count: int) -> Cells:
        """Bases of `count` slots in this segment. KVPoolError if the pool is out of superblocks."""
        while self._tops[segment - 1] < count:
            self._open_block(segment)
        top = self._tops[segment - 1]
        bases = self._slots[segment - 1][top - count:top][::-1].copy()
        self._tops[segment - 1] = top - count
        self.owned[bases] = True
        np.add.at(self.block_live, self.blocks_of(bases), 1)
        return bases

    def free(self, segment: int, bases: Cells) -> None:
        """Give slots of this segment back. KVPoolError if one is not in use there."""
        if not bases.size:
            return
        blocks = self.blocks_of(bases)
        if not self.owned[bases].all() or (self.block_segment[blocks] != segment).any():
            wrong = bases[~self.owned[bases] | (self.block_segment[blocks] != segment)]
            raise KVPoolError(f"slot {wrong[0]} freed in segment {segment} is not in use there (double free?)")
        self.owned[bases] = False
        if self.owned[bases].any() or np.unique(bases).size != bases.size:
            raise KVPoolError(f"a slot of segment {segment} was freed twice in one call")
        np.add.at(self.block_live, blocks, -1)
        top = self._tops[segment - 1]
        self._slots[segment - 1][top:top + bases.size] = bases[::-1]
        self._tops[segment - 1] = top + bases.size

    def _open_block(self, segment: int) -> None:
        if not self._free_blocks:
            self._reclaim()
        if not self._free_blocks:
            raise KVPoolError(f"the KV pool of {self.num_blocks} superblocks of {self.block_cells} cells is full")
        block = self._free_blocks.pop()
        self.block_segment[block] = segment
        tokens, layers = self.tokens_per_block[segment - 1], self.segment_layers[segment - 1]
        step = layers if self.strides[segment - 1] == 1 else 1
        first = 1 + block * self.block_cells
        top = self._tops[segment - 1]
        # Descending, so that slots leave the stack ascending: neighbours in time are neighbours in memory.
        self._slots[segment - 1][top:top + tokens] = first + step * np.arange(tokens - 1, -1, -1)
        self._tops[segment - 1] = top + tokens

    def _reclaim(self) -> None:
        """Superblocks without a slot in use become free; lazily, as a segment often fills them again."""
        empty = (self.block_live == 0) & (self.block_segment > 0)
        for segment in range(1, len(self.segment_layers) + 1):
            if not (empty & (self.block_segment == segment)).any():
                continue
            slots = self.free_slots(segment)
            kept = slots[~empty[self.blocks_of(slots)]]
            self._slots[segment - 1][:kept.size] = kept
            self._tops[segment - 1] = kept.size
        self.block_segment[empty] = 0
        self._free_blocks.extend(int(block) for block in np.flatnonzero(empty)[::-1])
