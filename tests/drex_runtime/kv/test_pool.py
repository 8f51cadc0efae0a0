"""The pool: slots are handed out once, superblocks change segment, and promised memory is always there."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from drex_runtime.kv import KVPool, KVPoolError, KVTables, check_integrity
from drex_runtime.kv.pool import CellLayout
from tests.scale import scaled


def pool_of(blocks: int = 6, layout: CellLayout = "token") -> KVPool:
    """Segments of 2, 3 and 1 layers; superblocks of 12 cells."""
    return KVPool([2, 3, 1], blocks, 12, num_kv_heads=1, head_dim=2, layout=layout)


@pytest.mark.parametrize("layout", ["token", "layer"])
def test_slots_do_not_overlap(layout: CellLayout) -> None:
    pool = pool_of(layout=layout)
    cells = [0]
    for segment, layers in enumerate(pool.segment_layers, start=1):
        for base in pool.allocate(segment, pool.tokens_per_block[segment - 1] + 1):
            cells += [int(base) + offset * pool.strides[segment - 1] for offset in range(layers)]
    assert len(set(cells)) == len(cells) and max(cells) < len(pool.keys)
    assert pool.cells_in_use() == len(cells) - 1


def test_a_superblock_moves_between_segments() -> None:
    pool = pool_of(blocks=1)
    first = pool.allocate(1, 6)
    with pytest.raises(KVPoolError, match="full"):
        pool.allocate(2, 1)
    pool.free(1, first)
    assert pool.allocate(2, 4).size == 4
    with pytest.raises(KVPoolError, match="full"):
        pool.allocate(1, 1)


def test_double_free_and_foreign_free_are_refused() -> None:
    pool = pool_of()
    bases = pool.allocate(1, 3)
    pool.free(1, bases[:1])
    for wrong in (bases[:1], np.array([bases[1], bases[1]])):
        with pytest.raises(KVPoolError, match=r"double|twice"):
            pool.free(1, wrong)
    with pytest.raises(KVPoolError, match="not in use there"):
        pool.free(2, pool.allocate(1, 1))


def test_promised_memory_suffices_whatever_was_freed_before() -> None:
    """Requests of random length and depth come and go; as long as blocks_for says so, nobody runs out."""
    for seed in range(scaled(10, 100)):
        random, blocks = Random(seed), 12
        pool = pool_of(blocks)
        tables = KVTables(pool, 8, capacity=2)
        promised, lengths = dict[int, int](), dict[int, int]()
        for _ in range(400):
            row = random.randrange(8)
            if row not in promised:
                most = random.randint(1, 20)
                if pool.blocks_for(sum(promised.values()) + most) <= blocks:
                    promised[row], lengths[row] = most, 0
            elif lengths[row] == promised[row] or random.random() < 0.03:
                tables.release(row, lengths.pop(row))
                del promised[row]
            else:
                grow(tables, row, lengths[row], random.randint(1, 3))
                lengths[row] += 1
            check_integrity(tables, lengths)


def grow(tables: KVTables, row: int, position: int, depth: int) -> None:
    """One more token of the row, which leaves after segment `depth`."""
    tables.reserve(position + 1)
    rows, positions = np.array([row]), np.array([position])
    for segment in range(1, depth + 1):
        tables.own(segment, rows, positions)
    tables.share(depth, rows, positions)


def test_shared_entries_are_the_exit_layers() -> None:
    tables = KVTables(pool_of(), 2)
    grow(tables, 0, 0, depth=2)
    own = tables.cells(2, 0, 1, offset=2)
    for offset in (0, 5):
        assert tables.cells(3, 0, 1, offset) == own
    before = tables.base.copy()
    tables.share(3, np.array([0]), np.array([0]))
    assert np.array_equal(before, tables.base)
    assert tables.pool.cells_in_use() == 5


@pytest.mark.parametrize("damage", ["leak", "two owners", "wrong alias", "left behind", "read after free", "miscount"])
def test_integrity_notices(damage: str) -> None:
    tables = KVTables(pool_of(), 3)
    grow(tables, 0, 0, depth=1)
    grow(tables, 0, 1, depth=3)
    grow(tables, 1, 0, depth=2)
    lengths = {0: 2, 1: 1}
    check_integrity(tables, lengths)
    if damage == "leak":
        tables.pool.allocate(2, 1)
    elif damage == "two owners":
        tables.base[0, 1, 0] = tables.base[0, 0, 0]
    elif damage == "wrong alias":
        tables.base[1, 0, 0] += 1
    elif damage == "left behind":
        lengths.pop(1)
    elif damage == "read after free":
        tables.pool.free(1, tables.base[0, 1, :1])
    else:
        tables.pool.block_live[0] += 1
    with pytest.raises(KVPoolError):
        check_integrity(tables, lengths)
