"""Lower bounds on the cost-to-go of a state at rest, as used inside the searches.

Makespan, from time t: the largest of
- *chain*: any request alone (its launches one row wide, waiting for its arrival);
- *work per cap*: every launch takes at most `cap` rows, so r row-visits of segment s cost at least cover[s, r], plus
  what each row costs on its own; for K = 1 the sharper `packing`, which chooses full, split and deep launches;
- *tail*: what is still to arrive cannot begin before it arrives;
- *scarce* (K = 1): while requests are to come, launches are narrower and fewer tokens can be started, see `scarce`;
- *pairs* (K = 1): any two requests alone, see `pairs`.

Total completion, sum over unfinished requests of completion - t: the largest of
- the sum of chains;
- *sorted chains on a batch machine*: let v_s(k) be the launches of segment s until the k-th completion. Launches cost
  at least level[s] + slope[s] * rows, so the k-th completion is at least sum_s level[s] * v_s(k) + (slopes of the
  rows so far), and the sums over k of the terms are minimised apart: sum_k v_s(k) is at least the optimum of
  P|pmtn|sum C_j with `cap` machines and the requests' visits as lengths, which shortest-first list scheduling
  attains (McNaughton 1959); the row work is a single machine served shortest first (Smith 1956).
  For K = 1 a launch at segment 1 that does not go deep pays the ramp, so v_1 may be charged level + ramp and v_2
  level - ramp (the number of splits is at least v_1 - v_2);
- *pairs* (K = 1): the sum over pairs of unfinished requests, divided by their number less one;
- the same machines for the requests that have arrived, plus arrival and chain of each one to come.

While requests are still to come (*late*): let R be the last arrival and t the last moment of decision up to R; no
launch takes longer than `longest`, so t > R - longest. By t every request has at most come as far as its launches
alone, one row wide, would take it, and all the rest of the work is done after t: t + (work or machines of the positions
*furthest by t*) bounds. The minimum over t is taken at the moments where a furthest position changes. This needs
bounds that do not fall when a request has more to do; `packing` qualifies only if start <= segment 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import Scalar, inner, kernel
from xplain.encodings.exact.pairs import pair_bound
from xplain.encodings.exact.scarce import MAX_STARTS, STACK, earliest_starts, scarce, sort

Codes = NDArray[np.int16]


@inner
def _batch_machine(lengths: Int, count: Scalar, cap: Scalar) -> Scalar:
    """Sum of completions, shortest first on `cap` machines; overwrites `lengths`."""
    sort(lengths, count)
    total = np.int64(0)
    for k in range(count):
        if k >= cap:
            lengths[k] += lengths[k - cap]
        total += lengths[k]
    return total


@inner
def _machines(instance: Instance, codes: Codes, now: Scalar, arrived_only: bool, lengths: Int) -> Scalar:
    stages, costs = instance.stages, instance.costs
    single = stages == 2 and not instance.always and costs.ramp[1, 0] <= costs.level[2]
    bound = np.int64(0)
    for spread in (True, False):
        count = 0
        for row in range(instance.n):
            code = codes[row]
            if code == instance.done[row] or (arrived_only and instance.arrival[row] > now):
                continue
            length = np.int64(0)
            if spread:
                length = instance.spread_work[row, code]
            else:
                for s in range(1, stages + 1):
                    rate = costs.level[s]
                    if s < stages and (instance.always or single):
                        rate += costs.ramp[s, 0]
                    elif s == 2 and single:
                        rate -= costs.ramp[1, 0]
                    length += rate * instance.visits[row, code, s]
            lengths[count] = length
            count += 1
        bound += _batch_machine(lengths, count, 1 if spread else instance.cap)
    return bound


@inner
def _work(instance: Instance, codes: Int, monotone: Scalar, total: Int) -> Scalar:
    """Work per cap of these positions; `monotone`: only bounds that never fall when a request has more to do."""
    stages = instance.stages
    own = context = shallow = parked = np.int64(0)
    prompted = False
    for s in range(1, stages + 1):
        total[s] = 0
    for row in range(instance.n):
        code = codes[row]
        if code == instance.done[row]:
            continue
        prompted = prompted or (code == 0 and instance.prompt[row] > 0)
        own += instance.floor_work[row, code]
        context += instance.context_work[row, code]
        shallow += instance.shallow[row, code]
        parked += int(instance.pool[row, code] == 2)
        for s in range(1, stages + 1):
            total[s] += instance.visits[row, code, s]
    work = own
    for s in range(1, stages + 1):
        work += instance.cover[s, total[s]]
    if instance.packing.shape[0] > 1 and (not monotone or instance.costs.start[2] <= instance.costs.seg[1, 1]):
        work = max(work, context + instance.packing[shallow, total[2] - parked, parked])
    return work + (instance.costs.prefill_fixed if prompted else 0)


@inner
def _scarce(instance: Instance, rows: Int, at: Int, wait: Int, count: Scalar, enough: Scalar, stack: Int) -> Scalar:
    """Makespan bound by `scarce` of the `count` unfinished requests `rows`; 0 without a packing table. Sorts `wait`."""
    if instance.packing.shape[0] == 1:
        return np.int64(0)
    shallow = deep = parked = added = np.int64(0)
    prompted = False
    for k in range(count):
        row, code = rows[k], at[k]
        prompted = prompted or (code == 0 and instance.prompt[row] > 0)
        added += instance.context_work[row, code]
        shallow += instance.shallow[row, code]
        deep += instance.visits[row, code, 2]
        parked += int(instance.pool[row, code] == 2)
    if prompted:
        added += instance.costs.prefill_fixed
    starts, more = stack[STACK:STACK + MAX_STARTS], stack[STACK + MAX_STARTS:]
    num, num_more = earliest_starts(instance, rows, at, wait, count, starts, more)
    sort(wait, count)
    return added + scarce(instance, wait, count, shallow, deep - parked, parked, added, starts, num, more, num_more,
                          enough - added, stack)


@inner
def _late(instance: Instance, codes: Codes, now: Scalar, enough: Scalar, far: Int, total: Int, lengths: Int) -> Scalar:
    """Bound from the clock of the last arrival: what cannot have been done by then, see the module."""
    n = instance.n
    last = instance.arrival[n - 1] - now
    at, best = max(0, last - instance.longest), enough
    while at <= last:
        following, done, rest, longest = last + 1, np.int64(0), np.int64(0), np.int64(0)
        for row in range(n):
            code = codes[row]
            far[row] = code
            if code == instance.done[row]:
                continue
            wait = max(0, instance.arrival[row] - now) if code == 0 else 0
            chain = instance.chain[row, code]
            for ahead in range(code + 1, instance.done[row] + 1):
                if ahead < instance.done[row] and instance.pool[row, ahead] > instance.depth[row, ahead]:
                    continue  # nobody is ever there
                reached = wait + chain - instance.chain[row, ahead]
                if code == 0 and ahead <= instance.stages and instance.prompt[row] > 0:
                    continue
                if reached > at:
                    following = min(following, reached)
                    break
                far[row] = ahead
            if far[row] == instance.done[row]:
                done += wait + chain
            else:
                rest += at
            longest = max(longest, wait + chain)
        if instance.total:
            value = done + rest + _machines(instance, far, now, False, lengths)
        else:
            value = max(longest, at + _work(instance, far, True, total))
        best = min(best, value)
        if following > last:
            break
        at = following
    return best


@kernel
def lower_bound(instance: Instance, codes: Codes, now: Scalar, enough: Scalar, scratch: Int) -> Scalar:
    """Least cost-to-go (as defined above) of a state at rest at time `now`.

    `enough`: a bound this high is not improved further. `scratch`: from `bound_scratch`.
    """
    n, stages = instance.n, instance.stages
    rows, at, wait, total = scratch[:n], scratch[n:], scratch[2 * n:], scratch[3 * n:]
    lengths = scratch[4 * n + stages:]
    longest = chains = future_chains = np.int64(0)
    future, count = n, 0
    for row in range(n):
        code = codes[row]
        if code == instance.done[row]:
            continue
        chain = instance.chain[row, code]
        rows[count], at[count], wait[count] = row, code, 0
        if code == 0 and instance.arrival[row] > now:
            wait[count] = instance.arrival[row] - now
            chain += wait[count]
            future = min(future, row)
            future_chains += chain
        count += 1
        longest = max(longest, chain)
        chains += chain
    if instance.total:
        bound = chains
    else:
        bound = max(longest, _work(instance, codes, False, total))
        if future < n:
            bound = max(bound, instance.tail[future] - now)
    if bound < enough and len(instance.pair_table) > 0:
        bound = max(bound, pair_bound(instance, at, wait, rows, count))
    if instance.total and bound < enough:
        bound = max(bound, _machines(instance, codes, now, False, lengths))
        if future < n and bound < enough:
            bound = max(bound, future_chains + _machines(instance, codes, now, True, lengths))
    if future < n and bound < enough and not instance.total:
        bound = max(bound, _scarce(instance, rows, at, wait, count, enough, scratch[6 * n + stages + 2:]))
    if future < n and bound < enough:
        bound = max(bound, _late(instance, codes, now, enough, scratch[5 * n + stages + 2:], total, lengths))
    return bound


def bound_scratch(instance: Instance) -> Int:
    """Working memory of `lower_bound`."""
    return np.zeros(6 * instance.n + instance.stages + 2 + STACK + 2 * MAX_STARTS, np.int64)
