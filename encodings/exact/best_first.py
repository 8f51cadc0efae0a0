"""Best-first search (A*; Hart, Nilsson, Raphael 1968): the least cost + bound next, the furthest among equals.

It expands no state whose cost + bound exceeds the optimum, and as the bounds are often exact once everybody has
arrived, ties broken towards the end lead straight to a schedule. When it stops early, no schedule costs less than the
least cost + bound in the queue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xplain.encodings.exact.beam import remaining
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

# Registers: cost of the incumbent, state before its last step, that step's rows and end, states expanded, states
# stored, length of the queue, least cost + bound in the queue, 1 once begun.
BEST, BEST_AT, BEST_ROWS, BEST_END, NODES, STORED, QUEUED, LOWEST, BEGUN = 0, 1, 2, 3, 4, 5, 6, 7, 8


class Queue(NamedTuple):
    """States found so far and a binary heap of those to be expanded.

    Per state: codes, clock, cost so far, value = cost + bound, left = remaining visits, and how it was reached: the
    state before, rows and end of the step. heap[0] has the least (value, left).
    """

    codes: Codes
    now: Int
    cost: Int
    value: Int
    left: Int
    before: Int
    rows: Int
    end: Int
    heap: Int
    registers: Int
    key: Words
    kinds: Int


def new_queue(n: int, room: int, words: int) -> Queue:
    """Room for `room` states."""
    now, cost, value, left, before, rows, end, heap = (np.zeros(room, np.int64) for _ in range(8))
    return Queue(np.zeros((room, n), np.int16), now, cost, value, left, before, rows, end, heap,
                 np.zeros(9, np.int64), np.zeros(words, np.uint64), np.zeros(n, np.int64))


def enlarged(queue: Queue) -> Queue:
    """The same queue with twice the room."""
    wider = {name: np.concatenate([getattr(queue, name), np.zeros_like(getattr(queue, name))])
             for name in ("codes", "now", "cost", "value", "left", "before", "rows", "end", "heap")}
    return queue._replace(**wider)


@inner
def _less(queue: Queue, x: Scalar, y: Scalar) -> bool:
    if queue.value[x] != queue.value[y]:
        return bool(queue.value[x] < queue.value[y])
    return bool(queue.left[x] < queue.left[y])


@inner
def _push(queue: Queue, state: Scalar) -> None:
    heap, at = queue.heap, queue.registers[QUEUED]
    queue.registers[QUEUED] += 1
    while at > 0:
        above = (at - 1) // 2
        if not _less(queue, state, heap[above]):
            break
        heap[at] = heap[above]
        at = above
    heap[at] = state


@inner
def _pop(queue: Queue) -> Scalar:
    heap, registers = queue.heap, queue.registers
    registers[QUEUED] -= 1
    top, last, size, at = heap[0], heap[registers[QUEUED]], registers[QUEUED], 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _less(queue, heap[below + 1], heap[below]):
            below += 1
        if not _less(queue, heap[below], last):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = last
    return top


@kernel
def run_best_first(instance: Instance, seen: Memo, scratch: Scratch, steps: Steps, queue: Queue, codes: Codes,
                   now: Scalar, pass_: Int, allowance: Scalar) -> Scalar:
    """Search for a schedule that costs less than registers[BEST].

    DONE, PAUSED after `allowance` states, or what has to be enlarged; call again with the same arguments to go on.
    """
    registers, nothing, spent = queue.registers, np.int64(0), 0
    if registers[BEGUN] == 0:
        registers[BEGUN] = 1
        queue.codes[0, :] = codes
        queue.now[0], queue.cost[0], queue.value[0], queue.before[0] = now, 0, 0, -1
        registers[STORED] = 1
        _push(queue, nothing)
    while registers[QUEUED] > 0:
        state = queue.heap[0]
        reached = queue.cost[state]
        registers[LOWEST] = queue.value[state]
        if queue.value[state] >= registers[BEST]:
            return DONE
        if spent >= allowance:
            return PAUSED
        if state > 0:
            write_key(instance, queue.codes[state], queue.now[state], queue.kinds, queue.key)
            if seen.upper[find(seen, queue.key)] < reached:  # reached more cheaply since
                _pop(queue)
                continue
        phase, segment, running, latched = nothing, nothing, nothing, nothing
        if state == 0:
            phase, segment, running, latched = pass_[0], pass_[1], pass_[2], pass_[3]
        got, _ = expand(instance, queue.codes[state], queue.now[state], phase, segment, running, latched,
                        np.bool_(False), registers[BEST] - reached, scratch, steps, nothing)
        if got == NO_ROOM:
            return STEPS_FULL
        if got == TOO_WIDE:
            return WIDE
        if registers[STORED] + got > len(queue.heap):
            return STATES_FULL
        if 2 * (seen.size[0] + got) + 2 >= len(seen.lower):
            return MEMO_FULL
        _pop(queue)
        spent += 1
        registers[NODES] += 1
        for k in range(got):
            _place(instance, seen, steps, queue, state, k)
    registers[LOWEST] = registers[BEST]
    return DONE


@inner
def _place(instance: Instance, seen: Memo, steps: Steps, queue: Queue, state: Scalar, k: Scalar) -> None:
    """Store and queue what step k from `state` leads to, unless it is no better than what is known."""
    registers, cost = queue.registers, queue.cost[state] + steps.cost[k]
    value = max(queue.value[state], queue.cost[state] + steps.bound[k])
    if value >= registers[BEST]:
        return
    if steps.done[k]:
        registers[BEST], registers[BEST_AT] = value, state
        registers[BEST_ROWS], registers[BEST_END] = steps.rows[k], steps.end[k]
        return
    after = queue.now[state] + steps.ticks[k]
    write_key(instance, steps.codes[k], after, queue.kinds, queue.key)
    slot = find(seen, queue.key)
    if seen.lower[slot] >= 0:
        if seen.upper[slot] <= cost:
            return
        seen.upper[slot] = cost
    else:
        learn(seen, queue.key, np.int64(0), cost)
    at = registers[STORED]
    registers[STORED] += 1
    queue.codes[at, :] = steps.codes[k]
    queue.now[at], queue.cost[at], queue.value[at] = after, cost, value
    queue.left[at] = remaining(instance, steps.codes[k])
    queue.before[at], queue.rows[at], queue.end[at] = state, steps.rows[k], steps.end[k]
    _push(queue, at)


class BestFirst:
    """One best-first search from a position; `go_on` until DONE."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._seen = new_memo(instance, 1024)
        self._queue = new_queue(instance.n, 1024, key_words(instance))
        self._queue.registers[BEST], self._queue.registers[BEST_AT] = UNKNOWN, -1

    def lower_to(self, upper: int) -> None:
        """Only schedules that cost less than this are wanted from now on."""
        if upper < self.best:
            self._queue.registers[BEST], self._queue.registers[BEST_AT] = upper, -1

    def go_on(self, scratch: Scratch, steps: Steps, position: Position, allowance: int) -> int:
        """Expand up to `allowance` states: DONE, PAUSED, or what the caller has to enlarge."""
        while True:
            status = int(run_best_first(self.instance, self._seen, scratch, steps, self._queue, position.codes,
                                        position.now, position.pass_, allowance))
            if status == MEMO_FULL:
                self._seen = grown(self.instance, self._seen)
            elif status == STATES_FULL:
                self._queue = enlarged(self._queue)
            else:
                return status

    @property
    def nodes(self) -> int:
        """States expanded."""
        return int(self._queue.registers[NODES])

    @property
    def best(self) -> int:
        """Cost of the best schedule known."""
        return int(self._queue.registers[BEST])

    @property
    def lowest(self) -> int:
        """No schedule costs less than the smaller of this and `best`."""
        return int(self._queue.registers[LOWEST])

    @property
    def num_bytes(self) -> int:
        """Memory of the stored states and the memo."""
        return sum(array.nbytes for array in (*self._queue, *self._seen))

    def trail(self) -> list[tuple[int, int]]:
        """(rows, end) of every step of the best schedule that this search has found; empty if it was given."""
        queue, registers = self._queue, self._queue.registers
        at = int(registers[BEST_AT])
        if at < 0:
            return []
        found = [(int(registers[BEST_ROWS]), int(registers[BEST_END]))]
        while at > 0:
            found.append((int(queue.rows[at]), int(queue.end[at])))
            at = int(queue.before[at])
        return found[::-1]
