"""The prefix cache by itself: keys stand for beginnings, cells are read where they lie, references add up."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from drex_runtime.kv import KVPool, KVPoolError, KVTables, PrefixCache, check_integrity
from tests.scale import scaled

SIZE = 3  # tokens per block
NONE = np.empty(0, np.int64)


def cache_of(blocks: int = 40, rows: int = 5) -> PrefixCache:
    """Segments of 2, 3 and 1 layers; superblocks of 12 cells: 6, 4 and 12 tokens."""
    return PrefixCache(KVTables(KVPool([2, 3, 1], blocks, 12, num_kv_heads=1, head_dim=2), rows, capacity=4), SIZE)


def begin(cache: PrefixCache, row: int, ids: list[int]) -> int:
    """A row with this prompt: adopts what is known, computes the rest, enters it. Returns what it adopted."""
    keys = cache.keys(ids)
    found = cache.adopt(row, cache.match(keys[:max(0, len(ids) - 1) // SIZE]))
    cache.tables.reserve(len(ids))
    for segment in (1, 2, 3):
        cache.tables.own_run(segment, row, found, len(ids) - found)
    cache.enter(row, keys, len(ids))
    return found


def end(cache: PrefixCache, row: int) -> None:
    cache.tables.release(row)
    cache.leave(row)


def test_keys_stand_for_whole_beginnings() -> None:
    cache = cache_of()
    keys = cache.keys([1, 2, 3, 4, 5, 6, 7])
    assert len(keys) == 2 and keys == cache.keys([1, 2, 3, 4, 5, 6])
    assert cache.keys([9, 2, 3, 4, 5, 6])[1] != keys[1], "the same block after another beginning"
    assert cache.keys([4, 5, 6])[0] != keys[1]
    assert cache.keys([1, 2]) == cache.keys([]) == ()
    assert cache_of().keys([1, 2, 3]) != keys[:1], "two caches share no secret"
    given = [PrefixCache(cache.tables, SIZE, b"s" * 32).keys([1, 2, 3]) for _ in range(2)]
    assert given[0] == given[1]


def test_a_later_row_reads_the_cells_of_an_earlier_one() -> None:
    cache = cache_of()
    tables, prompt = cache.tables, list(range(10))
    assert begin(cache, 0, prompt) == 0
    used = tables.pool.blocks_in_use
    assert begin(cache, 1, [*prompt[:7], 50, 51, 52]) == 6
    assert (tables.base[:, 1, :6] == tables.base[:, 0, :6]).all()
    assert (tables.stride[:, 1, :6] == tables.stride[:, 0, :6]).all()
    assert not set(tables.cells(1, 1, 10, 0)[6:].tolist()) & set(tables.cells(1, 0, 10, 0).tolist())
    assert tables.pool.blocks_in_use == used + 3  # 4 tokens of its own fit one superblock per segment
    check_integrity(tables, {0: 10, 1: 10}, cache)
    end(cache, 0)  # who computed it goes first: the reader's cells stay
    check_integrity(tables, {1: 10}, cache)
    assert begin(cache, 2, prompt) == 9
    check_integrity(tables, {1: 10, 2: 10}, cache)


def test_the_same_prompt_computed_twice_at_once_is_entered_once() -> None:
    cache, prompt = cache_of(), list(range(8))
    keys = cache.keys(prompt)
    for row in (0, 1):
        cache.adopt(row, cache.match(keys))
    cache.tables.reserve(8)
    for row in (0, 1):
        for segment in (1, 2, 3):
            cache.tables.own_run(segment, row, 0, 8)
        cache.enter(row, keys, 8)
        check_integrity(cache.tables, {0: 8, 1: 8 * row}, cache)
    assert len(cache.entries) == 2 and not cache.rows[1].entries
    end(cache, 0)
    end(cache, 1)
    check_integrity(cache.tables, {}, cache)
    assert cache.tables.pool.blocks_in_use == 0 and len(cache.unused) == 2


def test_a_prompt_that_grows_is_entered_as_it_is_computed() -> None:
    cache, prompt = cache_of(), list(range(9))
    keys = cache.keys(prompt)
    cache.adopt(0, ())
    cache.tables.reserve(9)
    for start, done, known in ((0, 2, 0), (2, 5, 1), (5, 6, 2), (6, 9, 3)):
        for segment in (1, 2, 3):
            cache.tables.own_run(segment, 0, start, done - start)
        cache.enter(0, keys, done)
        assert len(cache.match(keys)) == known
        check_integrity(cache.tables, {0: done}, cache)


def test_the_end_of_a_prompt_is_evicted_before_its_beginning_and_the_oldest_prompt_first() -> None:
    cache = cache_of(blocks=60)
    old, new = list(range(12)), list(range(20, 32))
    for row, prompt in enumerate((old, new)):
        begin(cache, row, prompt)
        end(cache, row)
    lengths = []
    while cache.unused:
        lengths.append(tuple(len(cache.match(cache.keys(prompt))) for prompt in (old, new)))
        idle = int(cache.tables.pool.idle.sum())
        cache.evict(1, NONE)
        assert int(cache.tables.pool.idle.sum()) < idle
        check_integrity(cache.tables, {}, cache)
    assert lengths == sorted(lengths, reverse=True) and lengths[0] == (4, 4)
    assert any(length == (0, 4) for length in lengths)
    assert len(cache.tables.pool.free_blocks) == 60 and cache.forgotten == 8


def test_what_a_row_reads_and_what_is_spared_is_never_evicted() -> None:
    cache, prompt = cache_of(blocks=12), list(range(7))
    begin(cache, 0, prompt)
    end(cache, 0)
    spared = cache.match(cache.keys(prompt))[0].blocks
    assert not cache.evictable(spared)[spared].any()
    with pytest.raises(KVPoolError, match="cannot free"):
        cache.evict(int(cache.tables.pool.idle.sum()), spared)
    assert len(cache.match(cache.keys(prompt))) >= 1
    begin(cache, 1, prompt)
    with pytest.raises(KVPoolError, match="cannot free"):
        cache.evict(1, NONE)
    check_integrity(cache.tables, {1: 7}, cache)


def test_a_beginning_forgotten_since_it_was_looked_up_is_refused() -> None:
    cache, prompt = cache_of(), list(range(7))
    begin(cache, 0, prompt)
    end(cache, 0)
    found = cache.match(cache.keys(prompt))
    cache.evict(int(cache.tables.pool.idle.sum()), NONE)
    with pytest.raises(KVPoolError, match="forgotten"):
        cache.adopt(1, found)


def test_random_rows_with_common_beginnings() -> None:
    """Rows begin, grow, leave and are evicted in any order; nothing leaks and nothing is used anew while it is read."""
    hits = evicted = 0
    for seed in range(scaled(15, 150, "random runs of the prefix cache")):
        random, cache = Random(seed), cache_of(blocks=random_blocks(seed), rows=6)
        pool, lengths = cache.tables.pool, dict[int, int]()
        for _ in range(150):
            row = random.randrange(6)
            if row in lengths:
                if random.random() < 0.4:
                    end(cache, row)
                    del lengths[row]
                elif len(pool.free_blocks) >= 3:
                    decode(cache.tables, row, lengths[row], random.randint(1, 3))
                    lengths[row] += 1
            else:
                prompt = prompt_of(random)
                needed, found = pool.blocks_for(len(prompt)), cache.match(cache.keys(prompt))
                spared = np.concatenate([NONE, *(entry.blocks for entry in found)])
                if needed > len(pool.free_blocks) + int(cache.evictable(spared).sum()):
                    continue
                cache.evict(max(0, needed - len(pool.free_blocks)), spared)
                hits += begin(cache, row, prompt)
                lengths[row] = len(prompt)
            check_integrity(cache.tables, lengths, cache)
        for row in lengths:
            end(cache, row)
        check_integrity(cache.tables, {}, cache)
        assert pool.blocks_in_use == 0
        evicted += cache.forgotten
        cache.evict(int(pool.idle.sum()), NONE)
        assert len(pool.free_blocks) == pool.num_blocks and not cache.entries
    assert hits and evicted


def random_blocks(seed: int) -> int:
    return 25 + 5 * (seed % 7)


def prompt_of(random: Random) -> list[int]:
    """A prompt along one of few paths, so that beginnings are common."""
    length = random.randint(1, 16)
    ids: list[int] = []
    while len(ids) < length:
        ids.append(random.choice((0, 0, 0, 0, 1)) + 2 * len(ids))
    return ids


def decode(tables: KVTables, row: int, position: int, depth: int) -> None:
    """One output token of the row, which leaves after segment `depth`."""
    tables.reserve(position + 1)
    rows, positions = np.array([row]), np.array([position])
    for segment in range(1, depth + 1):
        tables.own(segment, rows, positions)
    tables.share(depth, rows, positions)


def freed_while_read(cache: PrefixCache) -> None:
    cache.tables.pool.row_uses[cache.rows[1].entries[0].blocks] -= 1


def entry_gone(cache: PrefixCache) -> None:
    del cache.entries[cache.rows[1].entries[0].key]


def wrong_count(cache: PrefixCache) -> None:
    cache.rows[1].entries[0].users += 1


def entry_leaked(cache: PrefixCache) -> None:
    cache.tables.pool.cache_uses[cache.rows[1].entries[0].blocks] += 1


def reads_elsewhere(cache: PrefixCache) -> None:
    cache.tables.base[0, 1, 0] = cache.tables.base[0, 0, 7]


def forgotten_as_unused(cache: PrefixCache) -> None:
    cache.unused.clear()


def slot_entered_twice(cache: PrefixCache) -> None:
    entries = list(cache.unused.values())
    entries[0].bases[:] = entries[1].bases


def row_unknown(cache: PrefixCache) -> None:
    cache.leave(1)


def writer_of_cached_cells_lost(cache: PrefixCache) -> None:
    cache.tables.pool.block_row[cache.rows[1].entries[0].blocks] = 1


@pytest.mark.parametrize("damage", [freed_while_read, entry_gone, wrong_count, entry_leaked, reads_elsewhere,
                                    forgotten_as_unused, slot_entered_twice, row_unknown, writer_of_cached_cells_lost])
def test_integrity_notices(damage: Callable[[PrefixCache], None]) -> None:
    cache, prompt = cache_of(), list(range(8))
    begin(cache, 2, list(range(40, 48)))
    end(cache, 2)
    begin(cache, 0, prompt)
    assert begin(cache, 1, prompt) == 6
    lengths = {0: 8, 1: 8}
    check_integrity(cache.tables, lengths, cache)
    damage(cache)
    with pytest.raises(KVPoolError):
        check_integrity(cache.tables, lengths, cache)


def test_references_are_not_given_back_twice_nor_taken_of_free_superblocks() -> None:
    pool = cache_of().tables.pool
    blocks = pool.take(1, np.array([0, 0]))
    pool.keep(blocks)
    pool.give_back(blocks)
    assert pool.blocks_in_use == 0 and pool.idle.sum() == 2 and len(pool.free_blocks) == 38
    with pytest.raises(KVPoolError, match="freed twice"):
        pool.give_back(blocks)
    pool.borrow(blocks[:1])
    assert pool.blocks_in_use == 1
    pool.let_go(blocks)
    assert len(pool.free_blocks) == 39
    for refer in (pool.keep, pool.borrow):
        with pytest.raises(KVPoolError, match="after it was freed"):
            refer(blocks[1:])
