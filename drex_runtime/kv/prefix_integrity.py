"""Integrity of shared prompts: references add up, and who reads cells of another row reads what its entry names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drex_runtime.kv.pool import Cells, KVPool, KVPoolError
from drex_runtime.kv.prefix_cache import Entry, PrefixCache, RowEntries
from drex_runtime.kv.tables import KVTables


def check_prefixes(tables: KVTables, lengths: Mapping[int, int], prefixes: PrefixCache | None) -> dict[int, int]:
    """Check references and entries; returns how many positions of each row lie in cells it did not compute.

    Raises KVPoolError; see `check_integrity`.
    """
    pool = tables.pool
    entries = [] if prefixes is None else list(prefixes.entries.values())
    rows = {} if prefixes is None else prefixes.rows
    if prefixes is not None and set(rows) != set(lengths):
        raise KVPoolError(f"the prefix cache knows rows {sorted(rows)}, in use are {sorted(lengths)}")
    _check_references(pool, entries, rows)
    if prefixes is not None:
        _check_users(prefixes, rows)
    _check_slots(pool, entries)
    return {row: _borrowed(tables, row, held, lengths[row]) for row, held in rows.items()}


def _check_references(pool: KVPool, entries: list[Entry], rows: Mapping[int, RowEntries]) -> None:
    used = [entry for held in rows.values() for entry in held.entries.values()]
    if (_counted(pool, entries) != pool.cache_uses).any():
        raise KVPoolError("a superblock's references of cache entries do not add up")
    if (_counted(pool, used) + (pool.block_row >= 0) != pool.row_uses).any():
        raise KVPoolError("a superblock's references of rows do not add up: one leaked or was given back too early")


def _counted(pool: KVPool, entries: list[Entry]) -> Cells:
    blocks = [entry.blocks for entry in entries]
    return np.bincount(np.concatenate(blocks) if blocks else np.empty(0, np.int64), minlength=pool.num_blocks)


def _check_users(prefixes: PrefixCache, rows: Mapping[int, RowEntries]) -> None:
    users = dict.fromkeys(prefixes.entries.values(), 0)
    for row, held in rows.items():
        for entry in held.entries.values():
            if entry not in users:
                raise KVPoolError(f"row {row} uses a cache entry that was evicted")
            users[entry] += 1
    for entry in users:
        writers = prefixes.tables.pool.block_row[entry.blocks]
        for row in set(writers[writers >= 0].tolist()):
            if row not in rows or entry not in rows[row].entries.values():
                raise KVPoolError(f"row {row} writes superblocks with a cache entry it does not know of")
    if any(entry.users != count for entry, count in users.items()):
        raise KVPoolError("a cache entry's number of rows is wrong")
    if set(prefixes.unused.values()) != {entry for entry, count in users.items() if not count}:
        raise KVPoolError("the cache's list of unused entries is wrong")


def _check_slots(pool: KVPool, entries: list[Entry]) -> None:
    if not entries:
        return
    bases = np.stack([entry.bases for entry in entries])  # [entries, segments, tokens]
    for at, step in enumerate(pool.steps):
        slots = bases[:, at].reshape(-1)
        if np.unique(slots).size != slots.size:
            raise KVPoolError(f"segment {at + 1}: a slot belongs to two cache entries")
        blocks, inside = (slots - 1) // pool.block_cells, (slots - 1) % pool.block_cells
        if (pool.block_segment[blocks] != at + 1).any():
            raise KVPoolError(f"segment {at + 1}: a cached slot lies in a superblock of another segment")
        if (inside % step).any() or (inside // step >= pool.tokens_per_block[at]).any():
            raise KVPoolError(f"segment {at + 1}: a cache entry names cells that are not a slot")


def _borrowed(tables: KVTables, row: int, held: RowEntries, length: int) -> int:
    """Positions at the row's start that lie in superblocks it does not write, all of them named by its entries."""
    pool, size = tables.pool, 0
    for number, entry in sorted(held.entries.items()):
        count = entry.bases.shape[1]
        here = slice(number * count, (number + 1) * count)
        if here.stop > length or (tables.base[:, row, here] != entry.bases).any() \
                or (tables.stride[:, row, here] != np.array(pool.strides)[:, None]).any():
            raise KVPoolError(f"row {row}: positions {here.start} to {here.stop - 1} are not what the cache handed out")
        own = pool.block_row[entry.blocks] == row
        if own.any() != own.all():
            raise KVPoolError(f"row {row}: a cache entry is computed by it in part")
        if not own.any():
            if here.start != size:
                raise KVPoolError(f"row {row}: it reads another row's cells behind its own")
            size = here.stop
    return size
