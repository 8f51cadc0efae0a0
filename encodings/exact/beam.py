"""Good schedules quickly, and proofs: beam search over steps, best lower bounds first.

States wait in buckets by the work that remains, which every launch reduces (IDLE leads back to the same bucket), and
are taken from the fullest bucket on, so that states are compared with their like. Each is expanded (greedy: rows of
equal depth in order of urgency only, else every row set), steps that cannot beat the incumbent are dropped, and the
`width` of a bucket with the least cost + bound go on. Unless greedy, no schedule costs less than
the smaller of the result and the least bound cut: if nothing was cut, the result is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import (
    DONE,
    MEMO_FULL,
    PAUSED,
    STATES_FULL,
    STEPS_FULL,
    WIDE,
    Scalar,
    inner,
    kernel,
)
from xplain.encodings.exact.launches import NO_ROOM, TOO_WIDE, Scratch, Steps, expand
from xplain.encodings.exact.memo import UNKNOWN, Memo, Words, find, grown, key_words, learn, new_memo, write_key
from xplain.encodings.exact.positions import Position

# Registers: cost of the incumbent, its trail position, least bound cut off, states expanded, trail length; then where
# the search is: bucket, states taken from it, the next of them, 1 while that is the state asked about, 1 once begun.
BEST, BEST_AT, CUT, NODES, TRAIL, BUCKET, TAKEN, NEXT, ROOT, BEGUN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9


class Layers(NamedTuple):
    """Buckets of candidates by remaining work, the states being expanded, and the trail.

    Bucket b holds size[b] candidates at b * room..: codes, now, cost so far, value = cost + bound, trail position of
    the step before, (rows, end) of the step that led here. now_codes.. hold the states being expanded.
    trail[k] = (position of the step before, or -1; rows; end): how each expanded state was reached.
    """

    codes: Codes
    now: Int
    cost: Int
    value: Int
    at: Int
    rows: Int
    end: Int
    size: Int
    now_codes: Codes
    now_now: Int
    now_cost: Int
    now_at: Int
    order: Int
    trail: Int
    registers: Int
    key: Words
    kinds: Int


def new_layers(instance: Instance, codes: Codes, width: int, trail: int, words: int) -> Layers:
    """Memory for a beam of `width` states per bucket, from a state with these codes."""
    buckets, room, n = int(remaining(instance, codes)) + 1, 4 * width + 32, instance.n
    now, cost, value, at, rows, end = (np.zeros(buckets * room, np.int64) for _ in range(6))
    now_now, now_cost, now_at = (np.zeros(width, np.int64) for _ in range(3))
    return Layers(np.zeros((buckets * room, n), np.int16), now, cost, value, at, rows, end, np.zeros(buckets, np.int64),
                  np.zeros((width, n), np.int16), now_now, now_cost, now_at, np.zeros(room, np.int64),
                  np.zeros((trail, 3), np.int64), np.zeros(10, np.int64), np.zeros(words, np.uint64),
                  np.zeros(n, np.int64))


@kernel
def remaining(instance: Instance, codes: Codes) -> Scalar:
    """Segment visits and prefills still needed; every launch makes it smaller."""
    left = np.int64(0)
    for row in range(instance.n):
        code = codes[row]
        if code == 0 and instance.prompt[row] > 0:
            left += 1
        for s in range(1, instance.stages + 1):
            left += instance.visits[row, code, s]
    return left


@inner
def _shrink(layers: Layers, bucket: Scalar, width: Scalar) -> None:
    """Keep the `width` best candidates of a bucket; note the best value cut off."""
    room = len(layers.order)
    base, size = bucket * room, layers.size[bucket]
    if size <= width:
        return
    layers.order[:size] = layers.value[base:base + size]
    limit = _smallest(layers.order, size, width)
    below = 0
    for k in range(base, base + size):
        below += int(layers.value[k] < limit)
    ties, kept = width - below, base
    for k in range(base, base + size):
        value = layers.value[k]
        if value > limit or (value == limit and ties == 0):
            layers.registers[CUT] = min(layers.registers[CUT], value)
            continue
        if value == limit:
            ties -= 1
        if kept < k:
            layers.codes[kept, :] = layers.codes[k]
            layers.now[kept], layers.cost[kept], layers.value[kept] = layers.now[k], layers.cost[k], value
            layers.at[kept], layers.rows[kept], layers.end[kept] = layers.at[k], layers.rows[k], layers.end[k]
        kept += 1
    layers.size[bucket] = width


@inner
def _take(layers: Layers, bucket: Scalar, width: Scalar) -> Scalar:
    """Move the best candidates of a bucket to the states to be expanded; their number, or -1: the trail is full."""
    _shrink(layers, bucket, width)
    base, count, taken = bucket * len(layers.order), layers.size[bucket], 0
    for k in range(base, base + count):
        if layers.value[k] >= layers.registers[BEST]:
            continue
        if layers.registers[TRAIL] >= len(layers.trail):
            return -1
        _mark(layers, layers.at[k], layers.rows[k], layers.end[k])
        layers.now_codes[taken, :] = layers.codes[k]
        layers.now_now[taken], layers.now_cost[taken] = layers.now[k], layers.cost[k]
        layers.now_at[taken] = layers.registers[TRAIL] - 1
        taken += 1
    layers.size[bucket] = 0
    return taken


@kernel
def run_beam(instance: Instance, seen: Memo, scratch: Scratch, steps: Steps, layers: Layers, codes: Codes, now: Scalar,
             pass_: Int, greedy: Scalar, upper: Scalar, allowance: Scalar) -> Scalar:
    """Search for a schedule that costs less than `upper`.

    DONE, PAUSED after `allowance` states, or what has to be enlarged; call again with the same arguments to go on (a
    state may then be expanded twice, which changes nothing). `seen`: per state, the least cost at which it was reached.
    """
    registers, width, room = layers.registers, len(layers.now_now), len(layers.order)
    if registers[BEGUN] == 0:
        registers[BEST], registers[BEST_AT], registers[CUT], registers[TRAIL] = upper, -1, UNKNOWN, 0
        layers.size[:] = 0
        layers.now_codes[0, :] = codes
        layers.now_now[0], layers.now_cost[0], layers.now_at[0] = now, 0, -1
        registers[BUCKET], registers[TAKEN], registers[NEXT] = len(layers.size) - 1, 1, 0
        registers[ROOT], registers[BEGUN] = 1, 1
    nothing, spent = np.int64(0), 0
    while True:
        while registers[NEXT] < registers[TAKEN]:
            i = registers[NEXT]
            reached = layers.now_cost[i]
            if reached < registers[BEST]:
                if spent >= allowance:
                    return PAUSED
                phase, segment, running, latched = nothing, nothing, nothing, nothing
                if registers[ROOT] == 1:
                    phase, segment, running, latched = pass_[0], pass_[1], pass_[2], pass_[3]
                got, _ = expand(instance, layers.now_codes[i], layers.now_now[i], phase, segment, running, latched,
                                greedy, registers[BEST] - reached, scratch, steps, nothing)
                if got == NO_ROOM:
                    return STEPS_FULL
                if got == TOO_WIDE:
                    return WIDE
                status = _place(instance, seen, steps, layers, i, got, width, room)
                if status != DONE:
                    return status
                spent += 1
                registers[NODES] += 1
            registers[NEXT] += 1
            registers[ROOT] = 0
        bucket = registers[BUCKET]
        while bucket >= 0 and layers.size[bucket] == 0:
            bucket -= 1
        registers[BUCKET] = bucket
        if bucket < 0:
            return DONE
        taken = _take(layers, bucket, width)
        if taken < 0:
            return STATES_FULL
        registers[TAKEN], registers[NEXT] = taken, 0


@inner
def _place(instance: Instance, seen: Memo, steps: Steps, layers: Layers, i: Scalar, got: Scalar, width: Scalar,
           room: Scalar) -> Scalar:
    """Put the `got` steps from state i into their buckets; DONE, or what is full."""
    registers, reached = layers.registers, layers.now_cost[i]
    for k in range(got):
        value, cost = reached + steps.bound[k], reached + steps.cost[k]
        if value >= registers[BEST]:
            continue
        if steps.done[k]:
            if registers[TRAIL] >= len(layers.trail):
                return STATES_FULL
            registers[BEST] = value
            _mark(layers, layers.now_at[i], steps.rows[k], steps.end[k])
            registers[BEST_AT] = registers[TRAIL] - 1
            continue
        after = layers.now_now[i] + steps.ticks[k]
        write_key(instance, steps.codes[k], after, layers.kinds, layers.key)
        if 2 * seen.size[0] + 2 >= len(seen.lower):
            return MEMO_FULL
        slot = find(seen, layers.key)
        if seen.lower[slot] >= 0:
            if seen.upper[slot] <= cost:
                continue
            seen.upper[slot] = cost
        else:
            learn(seen, layers.key, np.int64(0), cost)
        to = remaining(instance, steps.codes[k])
        if layers.size[to] == room:
            _shrink(layers, to, width)
        at = to * room + layers.size[to]
        layers.codes[at, :] = steps.codes[k]
        layers.now[at], layers.cost[at], layers.value[at] = after, cost, value
        layers.at[at], layers.rows[at], layers.end[at] = layers.now_at[i], steps.rows[k], steps.end[k]
        layers.size[to] += 1
    return DONE


@inner
def _smallest(values: Int, count: Scalar, rank: Scalar) -> Scalar:
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
def _mark(layers: Layers, before: Scalar, rows: Scalar, end: Scalar) -> None:
    at = layers.registers[TRAIL]
    layers.trail[at, 0], layers.trail[at, 1], layers.trail[at, 2] = before, rows, end
    layers.registers[TRAIL] += 1


class Beam:
    """One beam from a position; `go_on` until DONE."""

    def __init__(self, instance: Instance, position: Position, width: int, greedy: bool, upper: int) -> None:
        self.instance, self.greedy, self._upper = instance, greedy, upper
        self._seen = new_memo(instance, 1024)
        self._layers = new_layers(instance, position.codes, width, 64 * width + 256, key_words(instance))
        self._layers.registers[BEST], self._layers.registers[BEST_AT] = upper, -1

    def go_on(self, scratch: Scratch, steps: Steps, position: Position, allowance: int) -> int:
        """Expand up to `allowance` states: DONE, PAUSED, or what the caller has to enlarge."""
        while True:
            status = int(run_beam(self.instance, self._seen, scratch, steps, self._layers, position.codes, position.now,
                                  position.pass_, np.bool_(self.greedy), self._upper, allowance))
            if status == MEMO_FULL:
                self._seen = grown(self.instance, self._seen)
            elif status == STATES_FULL:
                trail = self._layers.trail
                self._layers = self._layers._replace(trail=np.concatenate([trail, np.zeros_like(trail)]))
            else:
                return status

    @property
    def nodes(self) -> int:
        """States expanded."""
        return int(self._layers.registers[NODES])

    @property
    def best(self) -> int:
        """Cost of the best schedule found, or the `upper` it was given."""
        return int(self._layers.registers[BEST])

    @property
    def cut(self) -> int:
        """Least cost + bound of the states cut off (UNKNOWN: none was)."""
        return int(self._layers.registers[CUT])

    def trail(self) -> list[tuple[int, int]]:
        """(rows, end) of every step of the best schedule; empty if the beam found none."""
        at, found = int(self._layers.registers[BEST_AT]), []
        while at >= 0:
            before, rows, end = (int(value) for value in self._layers.trail[at])
            found.append((rows, end))
            at = before
        return found[::-1]
