"""Beam search for the uncapped word problem: incumbents for A*, of any width, guided by the pairwise bound.

Level by level (one letter each), the `width` nodes of least f = cost + bound go on, ties to the most advanced. Nodes
with f >= the best word known are dropped; nothing is proved here.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.kernel import kernel
from xplain.encodings.exact.pairwise import Int, PairTables, pair_bound
from xplain.encodings.exact.uncapped_model import Letters


def beam(letters: Letters, tables: PairTables, width: int, upper: int,
         deadline: float = math.inf) -> tuple[int, list[int]] | None:
    """The best word of cost below `upper` the beam finds, with its cost; None if it finds none.

    `deadline`: reading of time.perf_counter() at which it stops with what it has.
    """
    num = len(letters.final)
    rows = np.zeros((1, num), np.int32)
    cost, previous = np.zeros(1, np.int64), np.full(1, -1, np.int64)
    words: list[list[int]] = [[]]
    best: tuple[int, list[int]] | None = None
    while len(rows) and time.perf_counter() < deadline:
        children, parents, choices, reached, estimate, advanced = _children(
            rows, cost, previous, upper, letters.first, letters.last, letters.cost, letters.move, letters.stage,
            letters.final, tables.chain, tables.covered, tables.base, tables.stride, tables.column, tables.table)
        order = np.lexsort((-advanced, estimate))
        chosen: list[int] = []
        seen: set[bytes] = set()
        for index in order:
            key = children[index].tobytes()
            if key in seen:
                continue
            seen.add(key)
            if np.array_equal(children[index], letters.final):
                if reached[index] < upper:
                    upper = int(reached[index])
                    best = upper, [*words[parents[index]], int(choices[index])]
            elif len(chosen) < width and estimate[index] < upper:
                chosen.append(int(index))
        words = [[*words[parents[index]], int(choices[index])] for index in chosen]
        rows, cost, previous = children[chosen], reached[chosen], choices[chosen]
    return best


@kernel
def _children(rows: NDArray[np.int32], cost: Int, previous: Int, upper: int, first: Int, last: Int,
              letter_cost: Int, move: NDArray[np.int32], stage: Int, final: NDArray[np.int32], chain: Int,
              covered: Int, base: Int, stride: Int, column: Int, table: Int,
              ) -> tuple[NDArray[np.int32], Int, Int, Int, Int, Int]:
    """All children of f < upper: positions, parent row, letter, cost, f, sum of positions."""
    num, most = rows.shape[1], rows.shape[0] * len(first)
    children = np.empty((most, num), np.int32)
    parents, choices, reached, estimate, advanced = (np.empty(most, np.int64), np.empty(most, np.int64),
                                                     np.empty(most, np.int64), np.empty(most, np.int64),
                                                     np.empty(most, np.int64))
    kept = np.empty(num, np.int64)
    size = 0
    for row in range(rows.shape[0]):
        for choice in range(len(first)):
            if previous[row] >= 0 and first[choice] == last[previous[row]] + 1:
                continue
            possible = False
            changed = False
            total = 0
            for i in range(num):
                at = rows[row, i]
                possible |= stage[i, at] == first[choice]
                kept[i] = move[choice, i, at]
                changed |= kept[i] != at
                children[size, i] = kept[i]
                total += kept[i]
            if not possible or not changed or cost[row] + letter_cost[choice] >= upper:
                continue
            f = cost[row] + letter_cost[choice] + pair_bound(kept, chain, covered, base, stride, column, table)
            if f >= upper:
                continue
            parents[size], choices[size], reached[size] = row, choice, cost[row] + letter_cost[choice]
            estimate[size], advanced[size] = f, total
            size += 1
    return children[:size], parents[:size], choices[:size], reached[:size], estimate[:size], advanced[:size]
