"""PrefixCache: K and V of prompts that were computed once, read by later prompts that begin alike. Nothing is copied.

A prompt is cut into *blocks* of a fixed number of tokens. An entry stands for one block of one beginning: the slots, in
all segments, that hold K and V of its tokens. A later row whose prompt begins alike points its tables at these slots
(`KVTables.alias`) and goes on in superblocks of its own. Superblocks count their references (`KVPool`): of the rows
that write or read them and of the entries in them, so that nothing is freed or used anew while somebody reads it.

Only what prompt prefill computed at full depth is entered. Outputs are not, even where a later prompt repeats them: a
token that exited has no K and V of its own in deeper layers.

An entry's key chains over its beginning: BLAKE2b of the key before it and the block's token ids, 256 bits, keyed by a
secret drawn per cache. Equal keys mean equal beginnings: nobody can find two that collide, least of all a client, who
does not know the secret.

Entries that no row uses are forgotten least recently used first, those at the end of a prompt before those at its
beginning. An entry may outlive the one before it; it is found again once that has been computed again.
Source: automatic prefix caching of vLLM (Kwon et al., SOSP 2023; its design page), on superblocks instead of pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from hashlib import blake2b
from secrets import token_bytes

import numpy as np
from numpy.typing import NDArray

from drex_runtime.kv.pool import Cells, KVPoolError
from drex_runtime.kv.tables import KVTables

Key = bytes
DIGEST_BYTES = 32


@dataclass(eq=False, slots=True)
class Entry:
    """One block of a beginning: `bases[segments, tokens]` of its slots, the superblocks these lie in, its rows."""

    key: Key
    bases: Cells
    blocks: Cells
    users: int = 0


@dataclass(slots=True)
class RowEntries:
    """What a row uses: entries by number of the block. `done`: blocks of its prompt that are settled."""

    done: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)


class PrefixCache:
    """Entries over one pool's tables; `block_tokens` tokens each. `secret` None: drawn anew.

    `version` changes whenever a lookup could have another answer. `forgotten` counts evicted entries.
    """

    def __init__(self, tables: KVTables, block_tokens: int, secret: bytes | None = None) -> None:
        self.tables, self.block_tokens = tables, block_tokens
        self.version = self.forgotten = 0
        self.entries: dict[Key, Entry] = {}
        self.unused: dict[Key, Entry] = {}  # of no row, least recently used first
        self.rows: dict[int, RowEntries] = {}
        self._secret = token_bytes(DIGEST_BYTES) if secret is None else secret

    def keys(self, token_ids: Items[int]) -> tuple[Key, ...]:
        """Keys of the full blocks of a prompt."""
        ids, size, key = np.array(token_ids, dtype="<i8"), self.block_tokens, b""
        found = []
        for start in range(0, len(ids) - size + 1, size):
            key = blake2b(key + ids[start:start + size].tobytes(), digest_size=DIGEST_BYTES, key=self._secret).digest()
            found.append(key)
        return tuple(found)

    def match(self, keys: Items[Key]) -> tuple[Entry, ...]:
        """Entries of the longest known beginning."""
        found = []
        for key in keys:
            entry = self.entries.get(key)
            if entry is None:
                break
            found.append(entry)
        return tuple(found)

    # ---- rows ---------------------------------------------------------------------------------------------
    def adopt(self, row: int, entries: Items[Entry]) -> int:
        """A new row begins with these entries, which `match` found; returns its number of positions now.

        Raises KVPoolError if the row has entries already or an entry is not in the cache any more.
        """
        if row in self.rows:
            raise KVPoolError(f"row {row} has adopted a beginning already")
        if any(self.entries.get(entry.key) is not entry for entry in entries):
            raise KVPoolError(f"row {row}: the cache has forgotten what it is to read")
        self.rows[row] = RowEntries(len(entries))
        if entries:
            self._use(self.rows[row], dict(enumerate(entries)))
            self.tables.alias(row, np.concatenate([entry.bases for entry in entries], axis=1))
        return len(entries) * self.block_tokens

    def enter(self, row: int, keys: Items[Key], computed: int) -> None:
        """Enter the blocks among the row's first `computed` prompt tokens that nobody entered before.

        A beginning that another row computed meanwhile keeps that row's entry; this row goes on with its own cells.
        """
        held, size = self.rows[row], self.block_tokens
        upto, new = min(computed // size, len(keys)), dict[int, Entry]()
        for number in range(held.done, upto):
            if keys[number] not in self.entries:
                bases = self.tables.base[:, row, number * size:(number + 1) * size].copy()
                new[number] = Entry(keys[number], bases, self.tables.blocks_of(bases))
        held.done = max(held.done, upto)
        if new:
            self.tables.pool.keep(_blocks(new.values()))
            self.entries.update((entry.key, entry) for entry in new.values())
            self._use(held, new)
            self.version += 1

    def leave(self, row: int) -> None:
        """The row is gone: what it alone used is unused from now on, the end of its prompt the first to be evicted."""
        held = self.rows.pop(row)
        for number in sorted(held.entries, reverse=True):
            entry = held.entries[number]
            entry.users -= 1
            if not entry.users:
                self.unused[entry.key] = entry
        if held.entries:
            self.tables.pool.give_back(_blocks(held.entries.values()))

    def _use(self, held: RowEntries, entries: dict[int, Entry]) -> None:
        self.tables.pool.borrow(_blocks(entries.values()))
        held.entries.update(entries)
        for entry in entries.values():
            entry.users += 1
            self.unused.pop(entry.key, None)

    # ---- memory -------------------------------------------------------------------------------------------
    def evictable(self, spared: Cells) -> NDArray[np.bool_]:
        """`[num_blocks]`: superblocks that eviction would free, all but `spared`."""
        mask = self.tables.pool.idle
        mask[spared] = False
        return mask

    def evict(self, wanted: int, spared: Cells) -> None:
        """Forget entries until `wanted` superblocks more are free, none of them `spared`.

        An entry whose superblocks are all in use or spared would give nothing and is left. KVPoolError if `evictable`
        has not as many.
        """
        pool = self.tables.pool
        target, mask = len(pool.free_blocks) + wanted, self.evictable(spared)
        for entry in list(self.unused.values()):
            if len(pool.free_blocks) >= target:
                return
            if not mask[entry.blocks].any():
                continue
            del self.unused[entry.key], self.entries[entry.key]
            pool.let_go(entry.blocks)
            self.forgotten += 1
            self.version += 1
        if len(pool.free_blocks) < target:
            raise KVPoolError(f"eviction cannot free {wanted} superblocks")


def _blocks(entries: Iterable[Entry]) -> Cells:
    """Superblocks of these entries, each as often as an entry lies in it."""
    return np.concatenate([entry.blocks for entry in entries])
