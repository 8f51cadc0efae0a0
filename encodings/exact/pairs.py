"""Exact cost-to-go of every two requests alone (K = 1), from every pair of their positions.

It bounds every schedule of the whole workload: take its launches, leave out all other rows, and drop launches that
serve neither. Costs do not grow when rows are left out, and the result is a schedule of the two, with one exception:
a row of pool 2 may have joined a pass that other rows began at segment 1. So a deep launch of the two is charged
min(start, one row of segment 1), which is what that pass paid at least before segment 2.

For the makespan the largest pair bounds the state. For total completion every request is in (m - 1) of the pairs of
m unfinished ones, so the sum over pairs divided by m - 1 bounds the sum of completions.
(Unlike `pairwise`, which charges fixed costs only and bounds makespans for any K, these tables hold exact costs of
both objectives; they are quadratic in the tokens too, but for K = 1 only.)
"""

from __future__ import annotations

import numpy as np

from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, inner, kernel

MAX_PAIR_CELLS = 4_000_000


def build_pairs(instance: Instance) -> tuple[Int, Int]:
    """(base, table): the pair i < j at codes a, b is table[base[i, j] + a * (done[j] + 1) + b]. Empty if K != 1."""
    n = instance.n
    sizes = instance.done + 1
    cells = (int(sizes.sum()) ** 2 - int((sizes**2).sum())) // 2
    if instance.stages != 2 or n < 2 or cells > MAX_PAIR_CELLS:
        return np.zeros((0, 0), np.int64), np.zeros(0, np.int64)
    base, table = np.zeros((n, n), np.int64), np.zeros(cells, np.int64)
    fill_pairs(instance, base, table)
    return base, table


@inner
def _alone(instance: Instance, row: Scalar, code: Scalar, after: Int, ticks: Int, out: Int) -> Scalar:
    """Launches for one row: writes (code after, ticks, ticks until its token is out) of each; returns how many."""
    costs, context = instance.costs, instance.ctx[row, code]
    if instance.pool[row, code] == 2:
        entry = min(costs.start[2], costs.seg[1, 1] + (costs.ramp[1, 1] if instance.always else 0))
        after[0] = code + 1
        ticks[0] = out[0] = entry + costs.seg[2, 1] + costs.context[2] * context
        return 1
    first = costs.seg[1, 1] + costs.context[1] * context
    shallow = instance.depth[row, code] == 1
    closing = costs.ramp[1, 1] + (costs.fill[1] if shallow else 0)
    after[0] = code + 2
    ticks[0] = out[0] = first + costs.seg[2, 1] + costs.context[2] * context + (closing if instance.always else 0)
    after[1] = code + (2 if shallow else 1)
    out[1] = first + closing
    ticks[1] = out[1] + (0 if shallow else costs.rebatch)
    return 2


@inner
def _together(instance: Instance, i: Scalar, a: Scalar, j: Scalar, b: Scalar, after_i: Int, after_j: Int, ticks: Int,
              out: Int) -> Scalar:
    """Launches that serve both rows, as `_alone`."""
    costs = instance.costs
    first_context = second_context = np.int64(0)
    rows_first = shallow = 0
    for row, code in ((i, a), (j, b)):
        second_context += costs.context[2] * instance.ctx[row, code]
        if instance.pool[row, code] == 1:
            rows_first += 1
            first_context += costs.context[1] * instance.ctx[row, code]
            shallow += int(instance.depth[row, code] == 1)
    deep = costs.seg[2, 2] + second_context
    if rows_first == 0:
        entry = min(costs.start[2], costs.seg[1, 1] + (costs.ramp[1, 1] if instance.always else 0))
        after_i[0], after_j[0] = a + 1, b + 1
        ticks[0] = out[0] = entry + deep
        return 1
    first = costs.seg[1, rows_first] + first_context
    closing = costs.ramp[1, rows_first] + costs.fill[shallow]
    after_i[0] = a + (2 if instance.pool[i, a] == 1 else 1)
    after_j[0] = b + (2 if instance.pool[j, b] == 1 else 1)
    ticks[0] = out[0] = first + deep + (closing if instance.always else 0)
    if rows_first == 1:
        return 1
    after_i[1] = a + (2 if instance.depth[i, a] == 1 else 1)
    after_j[1] = b + (2 if instance.depth[j, b] == 1 else 1)
    out[1] = first + closing
    ticks[1] = out[1] + (costs.rebatch if shallow < 2 else 0)
    return 2


@kernel
def fill_pairs(instance: Instance, base: Int, table: Int) -> None:
    """Fill the tables of all pairs, from the last codes back."""
    n, total = instance.n, instance.total
    longest = instance.done.max() + 1
    after_i, after_j, ticks, out = (np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64),
                                    np.zeros(2, np.int64))
    lone = np.zeros((n, longest), np.int64)
    for row in range(n):
        for code in range(instance.done[row] - 1, 0, -1):
            best = np.int64(2**62)
            for k in range(_alone(instance, row, code, after_i, ticks, out)):
                if after_i[k] == instance.done[row]:
                    best = min(best, out[k])
                else:
                    best = min(best, ticks[k] + lone[row, after_i[k]])
            lone[row, code] = best
    at = np.int64(0)
    for i in range(n):
        for j in range(i + 1, n):
            width, end_i, end_j = instance.done[j] + 1, instance.done[i], instance.done[j]
            base[i, j] = at
            for a in range(end_i, 0, -1):
                for b in range(end_j, 0, -1):
                    if a == end_i or b == end_j:
                        table[at + a * width + b] = lone[i, a] + lone[j, b]
                        continue
                    best = np.int64(2**62)
                    for k in range(_alone(instance, i, a, after_i, ticks, out)):
                        best = min(best, _value(total, ticks[k], out[k], after_i[k] == end_i, False,
                                                table[at + after_i[k] * width + b]))
                    for k in range(_alone(instance, j, b, after_j, ticks, out)):
                        best = min(best, _value(total, ticks[k], out[k], False, after_j[k] == end_j,
                                                table[at + a * width + after_j[k]]))
                    if instance.cap >= 2:
                        for k in range(_together(instance, i, a, j, b, after_i, after_j, ticks, out)):
                            best = min(best, _value(total, ticks[k], out[k], after_i[k] == end_i, after_j[k] == end_j,
                                                    table[at + after_i[k] * width + after_j[k]]))
                    table[at + a * width + b] = best
            first_i = 1 if instance.prompt[i] == 0 else 1 + instance.stages
            first_j = 1 if instance.prompt[j] == 0 else 1 + instance.stages
            for b in range(end_j, 0, -1):  # a waiting request is bounded as if it had been admitted
                table[at + b] = table[at + first_i * width + b]
            for a in range(end_i, -1, -1):
                table[at + a * width] = table[at + a * width + first_j]
            at += (end_i + 1) * width


@inner
def _value(total: bool, ticks: Scalar, out: Scalar, i_ends: bool, j_ends: bool, rest: Scalar) -> Scalar:
    """Objective of a step of the two and what follows, from its beginning."""
    ended = int(i_ends) + int(j_ends)
    if total:
        return ended * out + (2 - ended) * ticks + rest
    if ended == 2:
        return out
    return ticks + rest


@inner
def pair_bound(instance: Instance, codes: Int, wait: Int, rows: Int, count: Scalar) -> Scalar:
    """Bound on the cost-to-go from pairs of the `count` unfinished requests `rows`.

    codes, wait (ticks until arrival, 0 if past) and chain (wait included) are given per position in `rows`.
    """
    best = np.int64(0)
    for x in range(count):
        i, a = rows[x], codes[x]
        for y in range(x + 1, count):
            j = rows[y]
            value = instance.pair_table[instance.pair_base[i, j] + a * (instance.done[j] + 1) + codes[y]]
            soonest = min(wait[x], wait[y])
            if instance.total:
                value += 2 * soonest
                apart = instance.chain[i, a] + wait[x] + instance.chain[j, codes[y]] + wait[y]
                best += max(value, apart)
            else:
                best = max(best, value + soonest)
    if instance.total and count > 1:
        return -(-best // (count - 1))
    return best
