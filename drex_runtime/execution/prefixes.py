"""Prefixes: how much of a request's prompt the prefix cache holds, and what using it costs in superblocks.

The last prompt token is always computed: its logits choose the first output. A hit is also cut where it would not leave
room for the request: a superblock stays whole while any of its tokens is read, so that a beginning scattered over many
of them could take more memory than computing it again, and a request that is alone must always fit (see `room`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from drex_runtime.execution.requests import Sequence
from drex_runtime.kv.pool import Cells
from drex_runtime.kv.prefix_cache import Entry, PrefixCache


@dataclass(frozen=True, slots=True)
class Hit:
    """What a request would begin with: entries, their `tokens`, the superblocks (each once) they lie in."""

    entries: tuple[Entry, ...] = ()
    tokens: int = 0
    blocks: Cells = field(default_factory=lambda: np.empty(0, np.int64))


class Prefixes:
    """The prefix cache as requests see it."""

    def __init__(self, cache: PrefixCache) -> None:
        self.cache = cache
        self._hits: dict[Sequence, Hit] = {}  # as of `_version`: decisions ask again and again
        self._version = cache.version

    def hit(self, sequence: Sequence) -> Hit:
        """What this request, which has no place, would begin with if it got one now."""
        if self._version != self.cache.version:
            self._hits.clear()
            self._version = self.cache.version
        hit = self._hits.get(sequence)
        if hit is None:
            hit = self._hits[sequence] = self._looked_up(sequence)
        return hit

    def _looked_up(self, sequence: Sequence) -> Hit:
        pool, size = self.cache.tables.pool, self.cache.block_tokens
        keys = self._keys(sequence)[:max(0, sequence.spec.prompt_tokens - 1) // size]
        entries = self.cache.match(keys)
        while entries:
            blocks = np.unique(np.concatenate([entry.blocks for entry in entries]))
            tokens = len(entries) * size
            if blocks.size + pool.blocks_for(sequence.most_positions - tokens) <= pool.num_blocks:
                return Hit(entries, tokens, blocks)
            entries = entries[:-1]
        return Hit()

    def adopt(self, sequence: Sequence) -> int:
        """The request, which has a row now, begins with its hit; returns the hit's tokens."""
        hit = self.hit(sequence)
        self._hits.pop(sequence)
        return self.cache.adopt(sequence.row, hit.entries)

    def enter(self, sequence: Sequence) -> None:
        """The first `sequence.prefilled` tokens of its prompt are computed: later prompts may begin with them."""
        self.cache.enter(sequence.row, self._keys(sequence), sequence.prefilled)

    def leave(self, row: int) -> None:
        """The row is free again."""
        self.cache.leave(row)

    def spared(self, sequences: Iterable[Sequence]) -> Cells:
        """Superblocks that must stay so that these requests, which have no place yet, get their hits."""
        return np.concatenate([np.empty(0, np.int64), *(self.hit(sequence).blocks for sequence in sequences)])

    def _keys(self, sequence: Sequence) -> tuple[bytes, ...]:
        if sequence.prompt_keys is None:
            sequence.prompt_keys = self.cache.keys(sequence.prompt_ids)
        return sequence.prompt_keys
