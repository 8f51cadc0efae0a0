"""Integrity of the KV cache: every slot has one owner, every alias a live target, every free slot one place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drex_runtime.kv.pool import SCRATCH, KVPoolError
from drex_runtime.kv.tables import KVTables


def check_integrity(tables: KVTables, lengths: Mapping[int, int]) -> None:
    """Check pool and tables against the rows in use, `lengths[row]` positions each.

    Raises KVPoolError for a leaked slot (in use, in no table), one owned twice, an alias of a cell that is not its
    own token's exit layer, entries left behind by a finished row, and free lists that disagree with the owners.
    """
    pool = tables.pool
    owners = np.zeros(pool.owned.size, dtype=np.int64)
    for row in range(tables.base.shape[1]):
        length = lengths.get(row, 0)
        if (tables.base[:, row, length:] != SCRATCH).any() or (tables.stride[:, row, length:] != 0).any():
            raise KVPoolError(f"row {row}: entries behind its {length} positions")
        for at in range(tables.num_segments):
            base, stride = tables.base[at, row, :length], tables.stride[at, row, :length]
            np.add.at(owners, base[stride > 0], 1)
            shared = (stride == 0) & (base != SCRATCH)
            _check_aliases(tables, row, at, shared.nonzero()[0])
    if (owners > 1).any():
        raise KVPoolError(f"slot {int(np.argmax(owners > 1))} has two owners")
    if not np.array_equal(owners > 0, pool.owned):
        wrong = int(np.argmax((owners > 0) != pool.owned))
        what = "leaked: in use, in no table" if pool.owned[wrong] else "free, but in a table"
        raise KVPoolError(f"slot {wrong} is {what}")
    _check_free_lists(tables)


def _check_aliases(tables: KVTables, row: int, at: int, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    if not positions.size:
        return
    if at == 0:
        raise KVPoolError(f"row {row}: shared entries in segment 1, which every token computes")
    above, stride = tables.base[at - 1, row, positions], tables.stride[at - 1, row, positions]
    expected = above + stride * (tables.pool.segment_layers[at - 1] - 1)
    if (tables.base[at, row, positions] != expected).any():
        raise KVPoolError(f"row {row}, segment {at + 1}: a shared entry is not its token's exit layer")


def _check_free_lists(tables: KVTables) -> None:
    pool = tables.pool
    for segment, tokens in enumerate(pool.tokens_per_block, start=1):
        slots = pool.free_slots(segment)
        blocks = pool.block_segment == segment
        if np.unique(slots).size != slots.size or pool.owned[slots].any():
            raise KVPoolError(f"segment {segment}: a slot is free twice, or free and in use")
        if slots.size + int(pool.block_live[blocks].sum()) != tokens * int(blocks.sum()):
            raise KVPoolError(f"segment {segment}: slots are missing from its superblocks")
    in_use = np.bincount(pool.blocks_of(np.flatnonzero(pool.owned)), minlength=pool.num_blocks)
    if not np.array_equal(in_use, pool.block_live):
        raise KVPoolError("a superblock miscounts its slots in use")
