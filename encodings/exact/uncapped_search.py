"""A* over position vectors for the uncapped word problem, resumable in chunks.

A node is one kept position per request. f = cost of the word so far + pairwise bound. The bound is consistent (one
letter is one move of the pairwise programme or none), so a node expanded once is never improved and the least f on the
heap is a lower bound on the optimum. Nodes with f >= the incumbent are dropped: they cannot improve it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.kernel import kernel
from xplain.encodings.exact.pairwise import Int, PairTables, pair_bound
from xplain.encodings.exact.uncapped_model import Letters

RUNNING, EXHAUSTED, FULL = 0, 1, 2
NUM_NODES, HEAP_SIZE, EXPANDED, UPPER, GOAL = range(5)
FIRST_CAPACITY = 2**12


@dataclass
class AStar:
    """The search's memory. Arrays double when full; `advance` runs it for a number of expansions."""

    letters: Letters
    tables: PairTables
    positions: NDArray[np.int32] = field(init=False)
    cost: Int = field(init=False)
    parent: NDArray[np.int32] = field(init=False)
    letter: NDArray[np.int32] = field(init=False)
    heap: Int = field(init=False)
    slots: NDArray[np.int32] = field(init=False)
    count: Int = field(init=False)

    def __post_init__(self) -> None:
        num = len(self.letters.final)
        self.positions = np.zeros((FIRST_CAPACITY, num), np.int32)
        self.cost = np.zeros(FIRST_CAPACITY, np.int64)
        self.parent = np.full(FIRST_CAPACITY, -1, np.int32)
        self.letter = np.full(FIRST_CAPACITY, -1, np.int32)
        self.heap = np.zeros((4 * FIRST_CAPACITY, 3), np.int64)
        self.slots = np.full(4 * FIRST_CAPACITY, -1, np.int32)
        self.count = np.zeros(5, np.int64)
        self.count[GOAL] = -1

    def open(self, upper: int) -> None:
        """Put the initial node (kept position 0 for every request); `upper`: cost of the incumbent."""
        self.count[UPPER] = upper
        _open(self.positions, self.heap, self.slots, self.count, self.tables.bound(self.positions[0].astype(np.int64)))

    @property
    def lower(self) -> int:
        """No word that finishes costs less than this (nor less than min(this, incumbent) once exhausted)."""
        upper = int(self.count[UPPER])
        return min(upper, int(self.heap[0, 0])) if self.count[HEAP_SIZE] else upper

    @property
    def expanded(self) -> int:
        """Nodes expanded so far."""
        return int(self.count[EXPANDED])

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.positions, self.cost, self.parent, self.letter, self.heap, self.slots)
        return sum(array.nbytes for array in arrays)

    def improve(self, upper: int) -> None:
        """A better incumbent was found elsewhere."""
        self.count[UPPER] = min(int(self.count[UPPER]), upper)

    def advance(self, expansions: int) -> bool:
        """Expand up to so many nodes; True once the optimum is known (`word`, or the incumbent if that is None)."""
        target = self.expanded + expansions
        tables, letters = self.tables, self.letters
        while self.expanded < target:
            status = _advance(self.positions, self.cost, self.parent, self.letter, self.heap, self.slots, self.count,
                              target, letters.first, letters.last, letters.cost, letters.move, letters.stage,
                              letters.final, tables.chain, tables.covered, tables.base, tables.stride, tables.column,
                              tables.table)
            if status == EXHAUSTED:
                return True
            if status == FULL:
                self._grow()
        return False

    def word(self) -> list[int] | None:
        """Letters of the optimal word the search reached, None if it did not improve the incumbent."""
        node = int(self.count[GOAL])
        if node < 0:
            return None
        word = []
        while self.parent[node] >= 0:
            word.append(int(self.letter[node]))
            node = int(self.parent[node])
        return word[::-1]

    def _grow(self) -> None:
        self.positions = np.concatenate([self.positions, np.zeros_like(self.positions)])
        self.cost, self.heap = (np.concatenate([array, np.zeros_like(array)]) for array in (self.cost, self.heap))
        self.parent, self.letter = (np.concatenate([array, np.full_like(array, -1)])
                                    for array in (self.parent, self.letter))
        self.slots = np.full(2 * len(self.slots), -1, np.int32)
        _rehash(self.positions, self.slots, int(self.count[NUM_NODES]))


@kernel
def _hash(row: NDArray[np.int32]) -> int:
    value = np.uint64(1469598103934665603)
    for item in row:
        value = (value ^ np.uint64(item)) * np.uint64(1099511628211)
    return int((value ^ (value >> np.uint64(29))) & np.uint64(0x7FFFFFFF))


@kernel
def _slot(row: NDArray[np.int32], positions: NDArray[np.int32], slots: NDArray[np.int32]) -> int:
    """The hash slot that holds `row`, or the free one where it belongs."""
    mask = len(slots) - 1
    slot = _hash(row) & mask
    while slots[slot] >= 0:
        node = slots[slot]
        same = True
        for i in range(len(row)):
            if positions[node, i] != row[i]:
                same = False
                break
        if same:
            return slot
        slot = (slot + 1) & mask
    return slot


@kernel
def _rehash(positions: NDArray[np.int32], slots: NDArray[np.int32], num: int) -> None:
    for node in range(num):
        slots[_slot(positions[node], positions, slots)] = node


@kernel
def _before(heap: Int, a: int, b: int) -> bool:
    """Order of the heap: least f, then the longest word so far (largest cost), then the oldest node."""
    for column in range(3):
        if heap[a, column] != heap[b, column]:
            return bool(heap[a, column] < heap[b, column])
    return False


@kernel
def _swap(heap: Int, a: int, b: int) -> None:
    for column in range(3):
        heap[a, column], heap[b, column] = heap[b, column], heap[a, column]


@kernel
def _push(heap: Int, size: int, f: int, cost: int, node: int) -> None:
    heap[size, 0], heap[size, 1], heap[size, 2] = f, -cost, node
    at = size
    while at > 0 and _before(heap, at, (at - 1) >> 1):
        _swap(heap, at, (at - 1) >> 1)
        at = (at - 1) >> 1


@kernel
def _pop(heap: Int, size: int) -> None:
    """Drop the top of a heap of `size` entries."""
    for column in range(3):
        heap[0, column] = heap[size - 1, column]
    size -= 1
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and _before(heap, child + 1, child):
            child += 1
        if not _before(heap, child, at):
            return
        _swap(heap, child, at)
        at = child


@kernel
def _open(positions: NDArray[np.int32], heap: Int, slots: NDArray[np.int32], count: Int, bound: int) -> None:
    slots[_slot(positions[0], positions, slots)] = 0
    count[NUM_NODES] = 1
    _push(heap, 0, bound, 0, 0)
    count[HEAP_SIZE] = 1


@kernel
def _advance(positions: NDArray[np.int32], cost: Int, parent: NDArray[np.int32], letter: NDArray[np.int32], heap: Int,
             slots: NDArray[np.int32], count: Int, target: int, first: Int, last: Int, letter_cost: Int,
             move: NDArray[np.int32], stage: Int, final: NDArray[np.int32], chain: Int, covered: Int, base: Int,
             stride: Int, column: Int, table: Int) -> int:
    num = positions.shape[1]
    num_letters = len(first)
    kept = np.empty(num, np.int64)
    while count[HEAP_SIZE] > 0:
        if count[NUM_NODES] + num_letters > len(cost) or count[HEAP_SIZE] + num_letters > len(heap):
            return FULL
        if count[EXPANDED] >= target:
            return RUNNING
        f, node = heap[0, 0], heap[0, 2]
        if f >= count[UPPER]:
            return EXHAUSTED
        stale = -heap[0, 1] != cost[node]
        _pop(heap, count[HEAP_SIZE])
        count[HEAP_SIZE] -= 1
        if stale:
            continue
        done = True
        for i in range(num):
            if positions[node, i] != final[i]:
                done = False
                break
        if done:
            count[GOAL], count[UPPER] = node, f
            return EXHAUSTED
        count[EXPANDED] += 1
        for choice in range(num_letters):
            if letter[node] >= 0 and first[choice] == last[letter[node]] + 1:
                continue
            possible = False
            child = count[NUM_NODES]
            for i in range(num):
                at = positions[node, i]
                possible |= stage[i, at] == first[choice]
                positions[child, i] = move[choice, i, at]
                kept[i] = move[choice, i, at]
            reached = cost[node] + letter_cost[choice]
            if not possible or reached >= count[UPPER]:
                continue
            slot = _slot(positions[child], positions, slots)
            known = slots[slot]
            if known >= 0 and cost[known] <= reached:
                continue
            bound = pair_bound(kept, chain, covered, base, stride, column, table)
            child_f = max(f, reached + bound)
            if child_f >= count[UPPER]:
                continue
            if known < 0:
                slots[slot] = child
                known = child
                count[NUM_NODES] += 1
            cost[known], parent[known], letter[known] = reached, node, choice
            _push(heap, count[HEAP_SIZE], child_f, reached, known)
            count[HEAP_SIZE] += 1
    return EXHAUSTED
