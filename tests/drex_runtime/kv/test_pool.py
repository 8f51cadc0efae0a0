"""Pool and tables: slots are owned once, superblocks change segment and row, promised memory is always there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from drex_runtime.kv import KVPool, KVPoolError, KVTables, check_integrity
from drex_runtime.kv.pool import CellLayout
from tests.scale import scaled


def pool_of(blocks: int = 6, layout: CellLayout = "layer") -> KVPool:
    """Segments of 2, 3 and 1 layers; superblocks of 12 cells."""
    return KVPool([2, 3, 1], blocks, 12, num_kv_heads=1, head_dim=2, layout=layout)


def tables_of(blocks: int = 6, rows: int = 3, layout: CellLayout = "layer") -> KVTables:
    """Tables over `pool_of`, short at first so that they must grow."""
    return KVTables(pool_of(blocks, layout), rows, capacity=2)


@pytest.mark.parametrize("layout", ["token", "layer"])
def test_slots_do_not_overlap(layout: CellLayout) -> None:
    tables = tables_of(blocks=20, layout=layout)
    tables.reserve(9)
    for row in (0, 1):
        for segment in (1, 2, 3):
            tables.own_run(segment, row, 0, 7)
            tables.own(segment, np.array([row]), np.array([7]))
            tables.own_run(segment, row, 8, 1)
    cells = [cell for row in (0, 1) for segment, layers in enumerate(tables.pool.segment_layers, start=1)
             for offset in range(layers) for cell in tables.cells(segment, row, 9, offset).tolist()]
    assert len(set(cells)) == len(cells) == 2 * 9 * 6
    assert min(cells) > 0 and max(cells) < len(tables.pool.keys)
    check_integrity(tables, {0: 9, 1: 9})


def test_a_superblock_moves_between_segments_and_rows() -> None:
    pool = pool_of(blocks=1)
    first = pool.take(1, np.array([0]))
    with pytest.raises(KVPoolError, match="full"):
        pool.take(2, np.array([0]))
    pool.give_back(first)
    assert pool.take(2, np.array([1])).tolist() == first.tolist()


def test_double_free_is_refused() -> None:
    pool = pool_of()
    blocks = pool.take(1, np.array([0, 0, 1]))
    pool.give_back(blocks[:1])
    for wrong in (blocks[:1], np.array([blocks[1], blocks[1]])):
        with pytest.raises(KVPoolError, match="freed twice"):
            pool.give_back(wrong)


def test_promised_memory_suffices() -> None:
    """Requests of random length and depth come and go; as long as blocks_for says so, nobody runs out."""
    for seed in range(scaled(10, 100)):
        random, blocks = Random(seed), 30
        tables = tables_of(blocks, rows=8)
        promised, lengths = dict[int, int](), dict[int, int]()
        for _ in range(200):
            row = random.randrange(8)
            if row not in promised:
                most = random.randint(1, 20)
                if sum(map(tables.pool.blocks_for, (*promised.values(), most))) <= blocks:
                    promised[row], lengths[row] = most, 0
            elif lengths[row] == promised[row] or random.random() < 0.03:
                tables.release(row)
                del promised[row], lengths[row]
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
    tables = tables_of()
    grow(tables, 0, 0, depth=2)
    own = tables.cells(2, 0, 1, offset=2)
    for offset in (0, 5):
        assert tables.cells(3, 0, 1, offset) == own
    before = tables.base.copy()
    tables.share(3, np.array([0]), np.array([0]))
    assert np.array_equal(before, tables.base)
    assert tables.pool.blocks_in_use == 2  # none in segment 3


def leak(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.pool.take(2, np.array([0]))


def two_owners(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.base[0, 0, 1] = tables.base[0, 0, 0]


def foreign_slot(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.base[0, 1, 0] = tables.base[0, 0, 0]


def wrong_alias(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.base[1, 0, 0] += 1


def row_gone(tables: KVTables, lengths: dict[int, int]) -> None:
    lengths.pop(1)


def read_after_free(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.pool.give_back(np.flatnonzero(tables.pool.block_row == 1))


def lost_block(tables: KVTables, lengths: dict[int, int]) -> None:
    tables.pool._top -= 1


@pytest.mark.parametrize("damage", [leak, two_owners, foreign_slot, wrong_alias, row_gone, read_after_free, lost_block])
def test_integrity_notices(damage: Callable[[KVTables, dict[int, int]], None]) -> None:
    tables = tables_of()
    grow(tables, 0, 0, depth=1)
    grow(tables, 0, 1, depth=3)
    grow(tables, 1, 0, depth=2)
    lengths = {0: 2, 1: 1}
    check_integrity(tables, lengths)
    damage(tables, lengths)
    with pytest.raises(KVPoolError):
        check_integrity(tables, lengths)
