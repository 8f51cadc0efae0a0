"""Every launch (with its whole pass) that the clairvoyant may make from a state, and where it leads.

One step of the searches goes from a state at rest (device idle, arrivals admitted) to the next one. A pass is
described by the rows in it at its end (a row of pool u > first pool joined before segment u) and by how it ends:
after the last segment, or by a SPLIT at ramp e. Three choices are left out because they cannot be better:
- consult and CONTINUE, where consulting is optional: SKIP does the same, saves the ramp and latches nobody;
- latching is therefore a matter of `always` (every ramp is consulted) and of start states in mid-pass only;
- IDLE longer than to the next arrival, or with nothing to come.

*Earlier is at least as good*: with equal requests, a state at time t can copy any schedule of a later time t': it
idles until the last arrival at or before t', which admits the same requests in the same order.

*Interchangeable*: of rows of equal class in one pool, the first ones are taken.

*Advanced is at least as good* (`instance.dominance`; preconditions: start[s] <= start[s-1] + the cost of segment
s - 1 for one row, and N >= n or no prompts). Let A equal B except that request i is further on (later pool of the
same token, or more tokens out). A copies B's optimal schedule and leaves i out of launches (joins it later) until B's
i has caught up. Costs do not decrease with rows, so nothing gets dearer, and i is not later. If i was alone in a
pass until others joined at s, A launches them at s and pays start[s] instead of the segments i ran through: that is
the first precondition. Places become free no later, and admissions stay a prefix of the queue; with prompts and
N < n the prefill could overtake, hence the second.

*Fuller is at least as good*, see `fuller`.

*Packing* (K = 1, makespan): all launches of one composition (shallow, deep and parked rows) leave the same packing
problem, so its bound drops them together, before any of them is looked at; see `composition`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.bounds import Codes, bound_scratch, lower_bound
from xplain.encodings.exact.composition import bound_of_full, bound_of_split, compose
from xplain.encodings.exact.fuller import is_lean
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, bits, inner, kernel

AT_REST, AFTER_SEGMENT, AT_RAMP, AT_JOIN = 0, 1, 2, 3  # as Phase
PREFILL_END, IDLE_END = -1, 0  # values of Steps.end other than a segment
TOO_WIDE, NO_ROOM = -1, -2


class Steps(NamedTuple):
    """Steps that leave states, several states one after the other in one buffer.

    codes[k]: requests after the step · ticks: its duration · cost: what it adds to the objective (see `record`) ·
    bound: cost + lower bound of what follows · rows: rows in the pass at its end (bits) · end: segment after which
    it ended, or PREFILL_END, IDLE_END · done: nothing is left.
    """

    codes: Codes
    ticks: Int
    cost: Int
    bound: Int
    rows: Int
    end: Int
    done: NDArray[np.bool_]


def new_steps(n: int, room: int) -> Steps:
    """An empty buffer for `room` steps."""
    ticks, cost, bound, rows, end = (np.zeros(room, np.int64) for _ in range(5))
    return Steps(np.zeros((room, n), np.int16), ticks, cost, bound, rows, end, np.zeros(room, np.bool_))


class Scratch(NamedTuple):
    """Working memory of one expansion. subsets[s, :listed[s]]: row sets of pool s to try, 0 first.

    frames: passes under way (segment, rows, latched, ticks so far, phase).
    """

    subsets: Int
    listed: Int
    frames: Int
    lengths: Int
    order: Int
    sets: Int


def new_scratch(instance: Instance, subsets: int) -> Scratch:
    """Scratch for pools with up to `subsets` row sets."""
    stages, n = instance.stages, instance.n
    return Scratch(np.zeros((stages + 2, subsets), np.int64), np.zeros(stages + 2, np.int64),
                   np.zeros((4 * subsets + 64, 5), np.int64), bound_scratch(instance), np.zeros(n, np.int64),
                   np.zeros(stages + 2, np.int64))


@kernel
def admit(instance: Instance, codes: Codes, now: Scalar) -> None:
    """Zero-prompt requests that have arrived take free places, in order."""
    free = instance.places
    for row in range(instance.n):
        if codes[row] != 0 and codes[row] != instance.done[row]:
            free -= 1
    for row in range(instance.n):
        if free <= 0 or instance.arrival[row] > now:
            return
        if codes[row] == 0 and instance.prompt[row] == 0:
            codes[row] = 1
            free -= 1


@inner
def _list_subsets(instance: Instance, codes: Codes, greedy: Scalar, scratch: Scratch) -> bool:
    """Row sets per pool, interchangeable rows in order only; greedy: rows of equal depth in order of urgency only.

    False if a pool has more sets than the scratch holds.
    """
    n, cap = instance.n, instance.cap
    order, width = scratch.order, scratch.subsets.shape[1]
    for i in range(n):
        order[i] = i
    if greedy:
        for i in range(1, n):
            row, j = order[i], i
            key = instance.chain[row, codes[row]]
            while j > 0:
                other = instance.chain[order[j - 1], codes[order[j - 1]]]
                if (other <= key) if instance.total else (other >= key):
                    break
                order[j] = order[j - 1]
                j -= 1
            order[j] = row
    for s in range(1, instance.stages + 1):
        scratch.subsets[s, 0] = 0
        scratch.listed[s], scratch.sets[s] = 1, 0
    for i in range(n):
        row = order[i]
        s = instance.pool[row, codes[row]]
        if s == 0:
            continue
        bit = np.int64(1) << row
        before = np.int64(0)
        for j in range(i - 1, -1, -1):
            other = order[j]
            if instance.pool[other, codes[other]] != s:
                continue
            if greedy:
                alike = instance.depth[other, codes[other]] == instance.depth[row, codes[row]]
            else:
                alike = instance.kind[other, codes[other]] == instance.kind[row, codes[row]]
            if alike:
                before = np.int64(1) << other
                break
        scratch.sets[s] |= bit
        have = scratch.listed[s]
        for k in range(have):
            rows = scratch.subsets[s, k]
            if (rows & before) == before and bits(rows) < cap:
                if scratch.listed[s] >= width:
                    return False
                scratch.subsets[s, scratch.listed[s]] = rows | bit
                scratch.listed[s] += 1
    return True


@inner
def record(instance: Instance, codes: Codes, now: Scalar, ticks: Scalar, out: Scalar, rows: Scalar, end: Scalar,
           leaving: Scalar, parked_in: Scalar, window: Scalar, scratch: Scratch, steps: Steps, at: Scalar) -> Scalar:
    """Write the step at position `at`; returns the bound if it is below `window`, else minus that bound - 1.

    `out`: ticks until the rows `leaving` complete their token; the other `rows` are parked in pool `parked_in`.
    Cost to the objective, counted from the step's beginning: makespan: its ticks (until the last completion, if
    that is in it); total completion: for each request that ends in it the ticks until then, for each other unfinished
    one the step's ticks.
    """
    n, stages = instance.n, instance.stages
    after = steps.codes[at]
    finished = unfinished = 0
    for row in range(n):
        code = codes[row]
        if (leaving >> row) & 1:
            tokens = 1 if code == 0 else (code - 1) // stages + 1
            after[row] = 1 + tokens * stages
            if after[row] == instance.done[row]:
                finished += 1
                continue
        elif (rows >> row) & 1:
            after[row] = (code - 1) // stages * stages + parked_in
        else:
            after[row] = code
            if code == instance.done[row]:
                continue
        unfinished += 1
    done = unfinished == 0
    if instance.total:
        cost = finished * out + unfinished * ticks
    else:
        cost = out if done else ticks
    bound = cost
    if not done:
        admit(instance, after, now + ticks)
        bound += lower_bound(instance, after, now + ticks, window - cost, scratch.lengths)
    if bound >= window:
        return -bound - 1
    steps.ticks[at], steps.cost[at], steps.bound[at] = ticks, cost, bound
    steps.rows[at], steps.end[at], steps.done[at] = rows, end, done
    return bound


@inner
def _push(scratch: Scratch, top: Scalar, s: Scalar, rows: Scalar, latched: Scalar, ticks: Scalar,
          phase: Scalar) -> Scalar:
    frames = scratch.frames
    frames[top, 0], frames[top, 1], frames[top, 2], frames[top, 3], frames[top, 4] = s, rows, latched, ticks, phase
    return top + 1


@inner
def expand(instance: Instance, codes: Codes, now: Scalar, phase: Scalar, segment: Scalar, running: Scalar,
           latched: Scalar, greedy: Scalar, window: Scalar, scratch: Scratch, steps: Steps,
           base: Scalar) -> tuple[Scalar, Scalar]:
    """Write the steps with bound < window from `base` on; returns (their number, least bound dropped).

    At rest, `segment`, `running` and `latched` are 0; otherwise they describe the pass under way, and the step is
    the rest of it. Returns TOO_WIDE or NO_ROOM as the number if scratch or buffer are too small.
    """
    costs, cap, stages = instance.costs, instance.cap, instance.stages
    room = len(steps.ticks)
    count, dropped, nowhere = 0, np.int64(2**62), np.int64(0)  # (literals would be compiled as types of their own)
    if not _list_subsets(instance, codes, greedy, scratch):
        return TOO_WIDE, 0
    top = 0
    if phase != AT_REST:
        top = _push(scratch, top, segment, running, latched, 0, phase)
    else:
        for special in (PREFILL_END, IDLE_END):
            ticks, leaving = np.int64(0), np.int64(0)
            if special == IDLE_END:
                for row in range(instance.n):
                    if instance.arrival[row] > now:
                        ticks = instance.arrival[row] - now
                        break
            else:
                ticks, leaving = _prefill(instance, codes, now)
            if ticks == 0 and leaving == 0:
                continue
            if base + count >= room:
                return NO_ROOM, 0
            bound = record(instance, codes, now, ticks, ticks, leaving, special, leaving, nowhere, window, scratch,
                           steps, base + count)
            if bound >= 0:
                count += 1
            else:
                dropped = min(dropped, -bound - 1)
    single = stages == 2 and phase == AT_REST and instance.dominance
    kinds = compose(instance, codes, phase == AT_REST)
    first, next_set = 1, 1
    while True:
        if top == 0:
            if phase != AT_REST:
                return count, dropped
            while first <= stages and next_set >= scratch.listed[first]:
                first, next_set = first + 1, 1
            if first > stages:
                return count, dropped
            top = _push(scratch, top, first, scratch.subsets[first, next_set], 0, costs.start[first], AT_REST)
            next_set += 1
        top -= 1
        s, rows, held, ticks, at = scratch.frames[top]
        b = bits(rows)
        if at == AT_REST:
            ticks += costs.seg[s, b]
            if kinds.known and s == stages:
                bound = bound_of_full(instance, codes, kinds, rows, ticks)
                if bound >= window:
                    dropped = min(dropped, bound)
                    continue
            if costs.context[s]:
                for row in range(instance.n):
                    if (rows >> row) & 1:
                        ticks += costs.context[s] * instance.ctx[row, codes[row]]
            if s == stages:
                if single and is_lean(instance, codes, scratch.sets, rows, s):
                    continue
                if base + count >= room:
                    return NO_ROOM, 0
                ticks += costs.fill[bits(held & rows)]
                bound = record(instance, codes, now, ticks, ticks, rows, s, rows, nowhere, window, scratch, steps,
                               base + count)
                if bound >= 0:
                    count += 1
                else:
                    dropped = min(dropped, -bound - 1)
                continue
            at = AFTER_SEGMENT
        if at in (AFTER_SEGMENT, AT_RAMP):
            consulted = ticks + (costs.ramp[s, b] if at == AFTER_SEGMENT else 0)
            ready = np.int64(0)
            for row in range(instance.n):
                if (rows >> row) & 1 and (instance.depth[row, codes[row]] <= s or (held >> row) & 1):
                    ready |= np.int64(1) << row
            bound = bound_of_split(instance, codes, kinds, rows, consulted) if kinds.known else np.int64(0)
            if bound >= window:
                dropped = min(dropped, bound)
            elif not (single and is_lean(instance, codes, scratch.sets, rows, s)):
                if base + count >= room:
                    return NO_ROOM, 0
                out = consulted + costs.fill[bits(ready)]
                bound = record(instance, codes, now, out + (costs.rebatch if rows != ready else 0), out, rows, s, ready,
                               s + 1, window, scratch, steps, base + count)
                if bound >= 0:
                    count += 1
                else:
                    dropped = min(dropped, -bound - 1)
            if instance.always or at == AT_RAMP:
                ticks, held = consulted, held | ready
        for k in range(scratch.listed[s + 1]):
            joined = scratch.subsets[s + 1, k]
            if b + bits(joined) <= cap:
                if top >= len(scratch.frames):
                    return TOO_WIDE, 0
                top = _push(scratch, top, s + 1, rows | joined, held, ticks, AT_REST)


@inner
def _prefill(instance: Instance, codes: Codes, now: Scalar) -> tuple[Scalar, Scalar]:
    """(ticks, rows) of a PREFILL now; (0, 0) if nothing can be prefilled."""
    free = instance.places
    for row in range(instance.n):
        if codes[row] != 0 and codes[row] != instance.done[row]:
            free -= 1
    rows, tokens = np.int64(0), np.int64(0)
    for row in range(instance.n):
        if instance.arrival[row] > now or free <= 0:
            break
        if codes[row] == 0 and instance.prompt[row] > 0:
            rows |= np.int64(1) << row
            tokens += instance.prompt[row]
            free -= 1
    if rows == 0:
        return np.int64(0), np.int64(0)
    return instance.costs.prefill_fixed + instance.costs.prefill_token * tokens, rows
