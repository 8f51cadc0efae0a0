"""Exact cost-to-go by depth-first branch and bound over states at rest, with a memo of proved bounds.

`descend` answers: is the cost-to-go of the state on the stack's bottom below a window, and if so, what is it? Steps
are tried in the order of their bounds; a step whose bound reaches the window, or the best found, is not followed.
What is learnt about each state (exact value, or a lower bound) stays in the memo for later questions. The kernel
stops between states when its allowance of states is used up or a buffer is full, and continues when called again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import (
    DONE,
    MEMO_FULL,
    PAUSED,
    STACK_FULL,
    STEPS_FULL,
    WIDE,
    Scalar,
    inner,
    kernel,
)
from xplain.encodings.exact.launches import TOO_WIDE, Scratch, Steps, expand
from xplain.encodings.exact.memo import UNKNOWN, Memo, Words, find, learn, write_key

# Registers of a search: level (-1: finished), what to do there, states expanded, result.
LEVEL, TODO, NODES, LOWER, UPPER, DEEPEST = 0, 1, 2, 3, 4, 5
ENTER, NEXT = 0, 1


class Stack(NamedTuple):
    """One level per state on the current path.

    window: only values below it are wanted · best: least cost found · floor: least bound of steps not resolved ·
    first, number: its steps in the buffer · step: the one being followed. `pass_[0..3]`: phase, segment, running and
    latched rows of the bottom state. `key`, `kinds`: scratch.
    """

    codes: Codes
    now: Int
    window: Int
    best: Int
    floor: Int
    first: Int
    number: Int
    step: Int
    open: NDArray[np.bool_]
    pass_: Int
    registers: Int
    key: Words
    kinds: Int


def new_stack(n: int, levels: int, room: int, words: int) -> Stack:
    """Room for `levels` states and `room` steps."""
    now, window, best, floor, first, number, step = (np.zeros(levels, np.int64) for _ in range(7))
    return Stack(np.zeros((levels, n), np.int16), now, window, best, floor, first, number, step,
                 np.zeros(room, np.bool_), np.zeros(4, np.int64), np.zeros(6, np.int64), np.zeros(words, np.uint64),
                 np.zeros(n, np.int64))


@kernel
def begin(stack: Stack, codes: Codes, now: Scalar, pass_: Int, window: Scalar) -> None:
    """Put a question at the bottom of the stack (at rest: after admissions)."""
    stack.codes[0, :] = codes
    stack.now[0], stack.window[0] = now, window
    stack.pass_[:] = pass_
    stack.registers[LEVEL], stack.registers[TODO] = 0, ENTER


@inner
def _enter(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, level: Scalar) -> Scalar:
    """Expand the state of this level; DONE if that worked."""
    codes, now, window = stack.codes[level], stack.now[level], stack.window[level]
    first = stack.first[level - 1] + stack.number[level - 1] if level else 0
    phase, segment, running, latched = (np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    if level == 0:
        phase, segment, running, latched = stack.pass_[0], stack.pass_[1], stack.pass_[2], stack.pass_[3]
    count, dropped = expand(instance, codes, now, phase, segment, running, latched, np.bool_(False), window, scratch,
                            steps, first)
    if count < 0:
        return WIDE if count == TOO_WIDE else STEPS_FULL
    best = UNKNOWN
    for k in range(first, first + count):
        stack.open[k] = False
        if steps.done[k]:
            best = min(best, steps.cost[k])
            continue
        write_key(instance, steps.codes[k], now + steps.ticks[k], stack.kinds, stack.key)
        slot = find(memo, stack.key)
        if memo.lower[slot] >= 0:
            steps.bound[k] = max(steps.bound[k], steps.cost[k] + memo.lower[slot])
            if memo.lower[slot] == memo.upper[slot]:
                best = min(best, steps.cost[k] + memo.upper[slot])
                continue
        stack.open[k] = True
    stack.first[level], stack.number[level] = first, count
    stack.best[level], stack.floor[level] = best, dropped
    return DONE


@kernel
def descend(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, allowance: Scalar) -> Scalar:
    """Work until the question is answered (DONE; bounds in registers) or something runs out."""
    registers = stack.registers
    spent = 0
    while True:
        level = registers[LEVEL]
        if registers[TODO] == ENTER:
            if spent >= allowance:
                return PAUSED
            if level + 1 >= len(stack.now):
                return STACK_FULL
            if 2 * memo.size[0] + 2 >= len(memo.lower):
                return MEMO_FULL
            status = _enter(instance, memo, scratch, steps, stack, level)
            if status != DONE:
                return status
            spent += 1
            registers[NODES] += 1
            registers[TODO] = NEXT
        first, count, best = stack.first[level], stack.number[level], stack.best[level]
        limit = min(best, stack.window[level])
        chosen: Scalar = np.int64(-1)
        lowest = UNKNOWN
        for k in range(first, first + count):
            if stack.open[k] and steps.bound[k] < lowest:
                chosen, lowest = k, steps.bound[k]
        if chosen >= 0 and lowest < limit:
            write_key(instance, steps.codes[chosen], stack.now[level] + steps.ticks[chosen], stack.kinds, stack.key)
            slot = find(memo, stack.key)
            cost = steps.cost[chosen]
            if memo.lower[slot] >= 0:  # learnt since the step was listed?
                if memo.lower[slot] == memo.upper[slot]:
                    stack.open[chosen] = False
                    stack.best[level] = min(best, cost + memo.upper[slot])
                    continue
                if cost + memo.lower[slot] > lowest:
                    steps.bound[chosen] = cost + memo.lower[slot]
                    continue
            stack.open[chosen] = False
            stack.step[level] = chosen
            stack.codes[level + 1, :] = steps.codes[chosen]
            stack.now[level + 1] = stack.now[level] + steps.ticks[chosen]
            stack.window[level + 1] = limit - cost
            registers[LEVEL], registers[TODO] = level + 1, ENTER
            continue
        lower = min(best, stack.floor[level], lowest)
        if level == 0:
            registers[LOWER], registers[UPPER] = lower, best
            if stack.pass_[0] == 0:
                write_key(instance, stack.codes[0], stack.now[0], stack.kinds, stack.key)
                learn(memo, stack.key, lower, best)
            return DONE
        write_key(instance, stack.codes[level], stack.now[level], stack.kinds, stack.key)
        learn(memo, stack.key, lower, best)
        parent = level - 1
        cost = steps.cost[stack.step[parent]]
        stack.best[parent] = min(stack.best[parent], best + cost if best < UNKNOWN else UNKNOWN)
        stack.floor[parent] = min(stack.floor[parent], lower + cost)
        registers[LEVEL], registers[TODO] = parent, NEXT


@kernel
def follow(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, codes: Codes, now: Scalar,
           pass_: Int, value: Scalar, trail: Int) -> Scalar:
    """Read a schedule of cost `value`, proved optimal by `descend`, out of the memo: (rows, end) per step.

    Returns the number of steps; -1: a buffer is too small, -2: the memo holds no such schedule.
    """
    current = codes.copy()
    phase, segment, running, latched = pass_[0], pass_[1], pass_[2], pass_[3]
    for length in range(len(trail)):
        count, _ = expand(instance, current, now, phase, segment, running, latched, np.bool_(False), value + 1, scratch,
                          steps, np.int64(0))
        if count < 0:
            return -1
        chosen = -1
        for k in range(count):
            if steps.done[k]:
                if steps.cost[k] == value:
                    chosen = k
                    break
                continue
            write_key(instance, steps.codes[k], now + steps.ticks[k], stack.kinds, stack.key)
            slot = find(memo, stack.key)
            if memo.lower[slot] >= 0 and memo.upper[slot] == value - steps.cost[k]:
                chosen = k
                break
        if chosen < 0:
            return -2
        trail[length, 0], trail[length, 1] = steps.rows[chosen], steps.end[chosen]
        if steps.done[chosen]:
            return length + 1
        current[:] = steps.codes[chosen]
        now += steps.ticks[chosen]
        value -= steps.cost[chosen]
        phase, segment, running, latched = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    return -1
