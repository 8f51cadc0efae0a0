"""Good schedules quickly: beam search over steps, best lower bounds first.

Layer k holds states after k steps. Each is expanded (greedy: rows of equal depth in order of urgency only, else every
row set), steps that cannot beat the incumbent are dropped, and of the rest the `width` with the least cost + bound go
on. If nothing was ever cut, the result is exact; otherwise no schedule costs less than min(result, least bound cut).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import inner, kernel
from xplain.encodings.exact.launches import NO_ROOM, TOO_WIDE, Scratch, Steps, expand
from xplain.encodings.exact.memo import UNKNOWN, Memo, Words, find, learn, write_key

DONE, GROW_STEPS, GROW_SEEN, GROW_TRAIL, WIDE = 0, 1, 2, 3, 4
# Registers: cost of the incumbent, its trail position, least bound cut off, states expanded, trail length.
BEST, BEST_AT, CUT, NODES, TRAIL = 0, 1, 2, 3, 4


class Layers(NamedTuple):
    """The current layer (codes, now, cost so far, trail position per state), the next one, and the trail.

    trail[k] = (position of the step before, or -1; rows; end): how each kept state was reached.
    """

    codes: Codes
    now: Int
    cost: Int
    at: Int
    next_codes: Codes
    next_now: Int
    next_cost: Int
    next_at: Int
    parent: Int
    pick: Int
    value: Int
    order: Int
    trail: Int
    registers: Int
    key: Words
    kinds: Int


def new_layers(n: int, width: int, room: int, trail: int, words: int) -> Layers:
    """Memory for a beam of `width` states and `room` steps per layer."""
    state = (np.zeros((width, n), np.int16), *(np.zeros(width, np.int64) for _ in range(3)))
    again = (np.zeros((width, n), np.int16), *(np.zeros(width, np.int64) for _ in range(3)))
    return Layers(*state, *again, *(np.zeros(room, np.int64) for _ in range(4)), np.zeros((trail, 3), np.int64),
                  np.zeros(5, np.int64), np.zeros(words, np.uint64), np.zeros(n, np.int64))


@kernel
def run_beam(instance: Instance, seen: Memo, scratch: Scratch, steps: Steps, layers: Layers, codes: Codes, now: int,
             pass_: Int, greedy: bool, upper: int) -> int:
    """Search for a schedule that costs less than `upper`; DONE, or what has to be enlarged before trying again.

    `seen` is empty: it keeps, per state, the least cost at which it was reached.
    """
    registers, width = layers.registers, len(layers.now)
    registers[BEST], registers[BEST_AT], registers[CUT], registers[TRAIL] = upper, -1, UNKNOWN, 0
    layers.codes[0, :] = codes
    layers.now[0], layers.cost[0], layers.at[0] = now, 0, -1
    alive, first_layer = 1, True
    while alive > 0:
        count = np.int64(0)
        for i in range(alive):
            base = layers.cost[i]
            if registers[BEST] <= base:
                continue
            registers[NODES] += 1
            phase, segment, running, latched = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            if first_layer:
                phase, segment, running, latched = pass_[0], pass_[1], pass_[2], pass_[3]
            got, _ = expand(instance, layers.codes[i], layers.now[i], phase, segment, running, latched, greedy,
                            registers[BEST] - base, scratch, steps, count)
            if got == NO_ROOM:
                return GROW_STEPS
            if got == TOO_WIDE:
                return WIDE
            start, end = count, count + got
            for k in range(start, end):
                total = base + steps.bound[k]
                if total >= registers[BEST]:
                    continue
                if steps.done[k]:
                    if registers[TRAIL] >= len(layers.trail):
                        return GROW_TRAIL
                    registers[BEST] = total
                    _mark(layers, layers.at[i], steps.rows[k], steps.end[k])
                    registers[BEST_AT] = registers[TRAIL] - 1
                    continue
                reached = base + steps.cost[k]
                write_key(instance, steps.codes[k], layers.now[i] + steps.ticks[k], layers.kinds, layers.key)
                if 2 * seen.size[0] + 2 >= len(seen.lower):
                    return GROW_SEEN
                slot = find(seen, layers.key)
                if seen.lower[slot] >= 0:
                    if seen.upper[slot] <= reached:
                        continue
                    seen.upper[slot] = reached
                else:
                    learn(seen, layers.key, 0, reached)
                if count < k:
                    steps.codes[count, :] = steps.codes[k]
                steps.ticks[count], steps.rows[count], steps.end[count] = steps.ticks[k], steps.rows[k], steps.end[k]
                layers.parent[count], layers.pick[count], layers.value[count] = i, reached, total
                count += 1
        limit = UNKNOWN
        if count > width:
            layers.order[:count] = layers.value[:count]
            limit = _smallest(layers.order, count, width)
        kept = 0
        for wanted in range(2):  # those below the limit first, then ties
            for k in range(count):
                value = layers.value[k]
                if (value < limit) != (wanted == 0):
                    continue
                if kept >= width or value > limit:
                    registers[CUT] = min(registers[CUT], value)
                    continue
                if registers[TRAIL] >= len(layers.trail):
                    return GROW_TRAIL
                i = layers.parent[k]
                _mark(layers, layers.at[i], steps.rows[k], steps.end[k])
                layers.next_codes[kept, :] = steps.codes[k]
                layers.next_now[kept] = layers.now[i] + steps.ticks[k]
                layers.next_cost[kept], layers.next_at[kept] = layers.pick[k], registers[TRAIL] - 1
                kept += 1
        alive, first_layer = kept, False
        layers.codes[:alive] = layers.next_codes[:alive]
        layers.now[:alive], layers.cost[:alive] = layers.next_now[:alive], layers.next_cost[:alive]
        layers.at[:alive] = layers.next_at[:alive]
    return DONE


@inner
def _smallest(values: Int, count: int, rank: int) -> int:
    """The rank-th smallest of the first `count` values (quickselect; reorders them)."""
    low, high = 0, count - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if rank - 1 <= j:
            high = j
        elif rank - 1 >= i:
            low = i
        else:
            break
    return values[rank - 1]


@inner
def _mark(layers: Layers, before: int, rows: int, end: int) -> None:
    at = layers.registers[TRAIL]
    layers.trail[at, 0], layers.trail[at, 1], layers.trail[at, 2] = before, rows, end
    layers.registers[TRAIL] += 1


def trail_of(layers: Layers) -> list[tuple[int, int]]:
    """(rows, end) of every step of the incumbent; empty if the beam found none."""
    at, found = int(layers.registers[BEST_AT]), []
    while at >= 0:
        before, rows, end = (int(value) for value in layers.trail[at])
        found.append((rows, end))
        at = before
    return found[::-1]
