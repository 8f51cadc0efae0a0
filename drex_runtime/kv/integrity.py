"""Integrity of the KV cache: every slot has one owner, every alias its exit layer, every superblock its references."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drex_runtime.kv.pool import SCRATCH, Cells, KVPoolError
from drex_runtime.kv.prefix_cache import PrefixCache
from drex_runtime.kv.prefix_integrity import check_prefixes
from drex_runtime.kv.tables import KVTables


def check_integrity(tables: KVTables, lengths: Mapping[int, int], prefixes: PrefixCache | None = None) -> None:
    """Check pool and tables against the rows in use, `lengths[row]` positions each, and the prefix cache if any.

    Raises KVPoolError for a superblock that leaked, whose holder is gone or whose references do not add up, a slot
    owned twice or outside its row's superblocks, an alias of a cell that is not its own token's exit layer, a cached
    slot that its entry does not name, and entries left behind.
    """
    _check_blocks(tables, lengths)
    borrowed = check_prefixes(tables, lengths, prefixes)
    for row in range(tables.base.shape[1]):
        length, adopted = lengths.get(row, 0), borrowed.get(row, 0)
        if (tables.base[:, row, length:] != SCRATCH).any() or (tables.stride[:, row, length:] != 0).any():
            raise KVPoolError(f"row {row}: entries behind its {length} positions")
        for segment in range(1, tables.num_segments + 1):
            base, stride = tables.base[segment - 1, row, :length], tables.stride[segment - 1, row, :length]
            _check_owned(tables, row, segment, base[adopted:][stride[adopted:] > 0])
            _check_aliases(tables, row, segment, np.flatnonzero((stride == 0) & (base != SCRATCH)))


def _check_blocks(tables: KVTables, lengths: Mapping[int, int]) -> None:
    pool, free = tables.pool, tables.pool.free_blocks
    held = (pool.row_uses > 0) | (pool.cache_uses > 0)
    if np.unique(free).size != free.size or held[free].any() or (pool.block_row[free] >= 0).any():
        raise KVPoolError("a superblock is free twice, or free and in use")
    if free.size + int(held.sum()) != pool.num_blocks:
        raise KVPoolError("a superblock is lost: neither free nor in use")
    gone = set(pool.block_row[pool.block_row >= 0].tolist()) - set(lengths)
    if gone:
        raise KVPoolError(f"superblocks of row {min(gone)} leaked: the row is not in use")


def _check_owned(tables: KVTables, row: int, segment: int, bases: Cells) -> None:
    pool, at = tables.pool, segment - 1
    if np.unique(bases).size != bases.size:
        raise KVPoolError(f"row {row}, segment {segment}: a slot has two owners")
    blocks, inside = (bases - 1) // pool.block_cells, (bases - 1) % pool.block_cells
    if (pool.block_row[blocks] != row).any() or (pool.block_segment[blocks] != segment).any():
        raise KVPoolError(f"row {row}, segment {segment}: a slot lies outside the row's superblocks")
    if (inside % pool.steps[at]).any() or (inside // pool.steps[at] >= pool.tokens_per_block[at]).any():
        raise KVPoolError(f"row {row}, segment {segment}: an entry is not a slot")
    held = int(((pool.block_row == row) & (pool.block_segment == segment)).sum())
    if held * pool.tokens_per_block[at] != bases.size + tables.slots_left[at, row]:
        raise KVPoolError(f"row {row}, segment {segment}: {held} superblocks for {bases.size} slots: one leaked")


def _check_aliases(tables: KVTables, row: int, segment: int, positions: Cells) -> None:
    if not positions.size:
        return
    if segment == 1:
        raise KVPoolError(f"row {row}: shared entries in segment 1, which every token computes")
    above, stride = tables.base[segment - 2, row, positions], tables.stride[segment - 2, row, positions]
    expected = above + stride * (tables.pool.segment_layers[segment - 2] - 1)
    if (tables.base[segment - 1, row, positions] != expected).any():
        raise KVPoolError(f"row {row}, segment {segment}: a shared entry is not its token's exit layer")
