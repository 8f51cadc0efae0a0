"""Makespan bound while requests are still to come (K = 1): the packing problem with what can have begun by when.

The packing table ignores whose token is whose. While few requests are there, this is far from free: a launch that
starts at time t takes at most as many rows as there are unfinished requests with arrival <= t, and of each request at
most as many tokens have been started by time t as its launches alone, one row wide, would allow. `scarce` searches
the packing problem with these limits: launches of the three kinds of `fill_packing`, each as early as the limits
permit, from (shallow, deep, parked) tokens left at clock 0, until all requests are there; the packing table bounds
the rest. At equal tokens left an earlier clock is at least as good, so nothing else has to be tried.

*Added work* (contexts, prefills) is no part of the packing: `added`, the least there is of it, is charged at the end
and the clock runs without it. Let a schedule have paid x of it, and of whatever else this problem leaves out, by the
time t at which it starts a launch. Then the same launch starts here by t - min(x, added): limits are read `added` ticks
earlier, and both sides of the inequality grow by the same launches. At the end x >= added.
"""

from __future__ import annotations

import numpy as np

from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, inner

# States per call: this divided by the square of a state's launches, since an expansion asks for as many bounds. What is
# left is bounded by the packing table alone.
MAX_WORK = 1_200_000
FIELDS = 4  # of a state on the stack: shallow, deep, parked, clock
STACK = FIELDS * 4096  # elements; a search that would need more is bounded by the packing table as well
MAX_STARTS = 512  # tokens of a kind whose earliest start is kept; later ones start when all requests are there


@inner
def sort(values: Int, count: Scalar) -> None:
    """Sort the first `count` values (few of them)."""
    for i in range(1, count):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@inner
def earliest_starts(instance: Instance, rows: Int, at: Int, wait: Int, count: Scalar, shallow: Int,
                    deep: Int) -> tuple[Scalar, Scalar]:
    """When the tokens to come can start at the earliest, ascending, by kind; returns how many are listed.

    Only tokens that can start before the last of the `count` unfinished requests `rows` (at codes `at`) is there.
    """
    last = np.int64(0)
    for k in range(count):
        last = max(last, wait[k])
    num_shallow = num_deep = 0
    for k in range(count):
        row, code = rows[k], at[k]
        first = max(code, 1)
        if code == 0 and instance.prompt[row] > 0:
            first += instance.stages
        for ahead in range(first, instance.done[row]):
            if instance.pool[row, ahead] != 1:
                continue
            start = wait[k] + instance.chain[row, code] - instance.chain[row, ahead]
            if start >= last:
                break
            if instance.depth[row, ahead] == 1:
                if num_shallow < MAX_STARTS:
                    shallow[num_shallow] = start
                    num_shallow += 1
            elif num_deep < MAX_STARTS:
                deep[num_deep] = start
                num_deep += 1
    sort(shallow, num_shallow)
    sort(deep, num_deep)
    return num_shallow, num_deep


@inner
def scarce(instance: Instance, wait: Int, count: Scalar, a: Scalar, d: Scalar, p: Scalar, added: Scalar, shallow: Int,
           num_shallow: Scalar, deep: Int, num_deep: Scalar, enough: Scalar, stack: Int) -> Scalar:
    """Least makespan (from now) of the problem above, without `added`; not improved beyond `enough`.

    wait[:count]: ticks until each unfinished request is there, ascending; a, d, p as in `packing`; shallow, deep: from
    `earliest_starts`.
    """
    costs, cap, packing, n = instance.costs, min(instance.cap, count), instance.packing, instance.n
    seg, ramp, fill = costs.seg, costs.ramp, costs.fill
    branches = (cap + 1) * (cap + 2) * (cap + 3) // 6 + (cap + 1) * (cap + 2) // 2 + cap
    last, all_a, all_d, most = wait[count - 1] - added, a, d, MAX_WORK // (branches * branches)
    best, states, top = enough, 0, np.int64(1)
    stack[0], stack[1], stack[2], stack[3] = a, d, p, 0
    while top > 0:
        top -= 1
        at = FIELDS * top
        a, d, p, clock = stack[at], stack[at + 1], stack[at + 2], stack[at + 3]
        rest = clock + packing[a, d, p]
        if rest >= best:
            continue
        if a + d + p == 0 or clock >= last or states >= most or top + branches > STACK // FIELDS:
            best = rest
            continue
        states += 1
        for k in range(1, min(cap, p) + 1):
            after = max(clock, wait[k - 1] - added) + costs.start[2] + seg[2, k]
            top = _push(packing, stack, top, a, d, p - k, after, best)
        for wide in range(1, cap + 1):
            for i in range(max(0, wide - d), min(wide, a) + 1):
                j = wide - i
                start = max(clock, wait[wide - 1] - added)
                if i:
                    x = all_a - a + i
                    start = max(start, shallow[x - 1] - added if x <= num_shallow else last)
                if j:
                    x = all_d - d + j
                    start = max(start, deep[x - 1] - added if x <= num_deep else last)
                closing = ramp[1, wide] + fill[i]
                after = start + seg[1, wide] + (closing if instance.always else 0)
                for k in range(min(cap - wide, p) + 1):
                    joined = max(after, wait[wide + k - 1] - added) + seg[2, wide + k]
                    top = _push(packing, stack, top, a - i, d - j, p - k, joined, best)
                if p + j <= n:
                    after = start + seg[1, wide] + closing + (costs.rebatch if j else 0)
                    top = _push(packing, stack, top, a - i, d - j, p + j, after, best)
    return best


@inner
def _push(packing: Int, stack: Int, top: Scalar, a: Scalar, d: Scalar, p: Scalar, clock: Scalar,
          best: Scalar) -> Scalar:
    """Put the state on the stack unless it cannot beat `best`; returns the new top."""
    if clock + packing[a, d, p] >= best:
        return top
    at = FIELDS * top
    stack[at], stack[at + 1], stack[at + 2], stack[at + 3] = a, d, p, clock
    return top + 1
