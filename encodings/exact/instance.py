"""A problem compiled once to integer arrays, in the form the search kernels read.

A request's position is one *code*: 0 = waiting; 1 + e*(K+1) + (s-1) = in pool s with e tokens out; the last one,
`done[row]` = 1 + T*(K+1), = complete. Codes only grow. Segments are 1-based in every array. Times in ticks.
Positions with equal remaining work have the same *class*: such requests are interchangeable once they are in the
same pool (remaining depths equal, and contexts too if any segment charges for context; dues play no part in the
objectives searched here).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact.kernel import Scalar, kernel

Int = NDArray[Any]  # of np.int64; Any, so that elements mix with Python integers (see `Scalar`)
MAX_REQUESTS = 62  # a set of rows is the bits of one signed 64-bit word
MAX_PACKING_STEPS = 6_000_000


class Costs(NamedTuple):
    """Cost tables by batch size, 0..cap (entry 0 unused), and the floors that bounds use.

    level/slope: seg[s, b] >= level[s] + slope[s]*b for 1 <= b <= cap. `margin[s]`: least growth of seg[s] per row.
    """

    seg: Int
    context: Int
    ramp: Int
    ramp_row: Int
    start: Int
    fill: Int
    fill_row: Scalar
    rebatch: Scalar
    prefill_fixed: Scalar
    prefill_token: Scalar
    level: Int
    slope: Int
    margin: Int


class Instance(NamedTuple):
    """One problem: sizes, costs, requests, per-code tables ([row, code]) and bound tables.

    `cover[s, r]`: least cost of r row-visits of segment s in launches of at most cap rows. `packing[a, d, p]`
    (K = 1, empty if too large): least cost of launches for a shallow tokens, d deep tokens in pool 1 and p deep
    ones in pool 2, requests ignored. `tail[j]`: no schedule ends before it while request j has not arrived.
    `pair_base`, `pair_table`: see `pairs` (empty until filled there). `longest`: no launch takes longer.
    """

    n: int
    stages: int
    cap: int
    places: int
    always: bool
    total: bool
    dominance: bool
    costs: Costs
    arrival: Int
    prompt: Int
    done: Int
    pool: Int
    depth: Int
    ctx: Int
    kind: Int
    chain: Int
    visits: Int
    shallow: Int
    floor_work: Int
    spread_work: Int
    context_work: Int
    cover: Int
    packing: Int
    tail: Int
    kinds: int
    pair_base: Int
    pair_table: Int
    longest: int


def check_problem(workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective) -> None:
    """Refuse what the exact methods do not model (RecordError, LimitError)."""
    if objective not in ("makespan", "total-completion"):
        raise RecordError("exact search", "objective", objective, '"makespan" or "total-completion"')
    if config.prefill_tokens is not None:
        raise RecordError("exact search", "prefill_tokens", config.prefill_tokens,
                          "null (the exact methods have unlimited prefill)")
    if workload.num_segments != profile.num_segments:
        raise LimitError(f"workload {workload.name} has {workload.num_segments} segments, profile {profile.name} "
                         f"has {profile.num_segments}")
    if workload.tick != profile.tick:
        raise LimitError(f"workload {workload.name} counts in {workload.tick}, profile {profile.name} in "
                         f"{profile.tick}; convert the workload first (Workload.in_tick)")
    if len(workload.requests) > MAX_REQUESTS:
        raise LimitError(f"exact search takes at most {MAX_REQUESTS} requests, the workload has "
                         f"{len(workload.requests)}")
    rows = min(config.batch_max, config.max_num_seqs, len(workload.requests))
    if rows > profile.max_rows:
        raise LimitError(f"a launch of {rows} rows is possible, profile {profile.name} covers 1 to {profile.max_rows}")


def _floors(seg: Int, cap: int, stages: int) -> tuple[Int, Int, Int]:
    level, slope, margin = (np.zeros(stages + 1, np.int64) for _ in range(3))
    for s in range(1, stages + 1):
        values = [int(value) for value in seg[s, 1:]]
        steps = [right - left for left, right in pairwise(values)]
        margin[s] = min([*steps, values[0]])
        chord = (values[-1] - values[0]) // (cap - 1) if cap > 1 else 0
        slope[s] = min(chord, min(value // rows for rows, value in enumerate(values, 1)))
        level[s] = min(value - int(slope[s]) * rows for rows, value in enumerate(values, 1))
    return level, slope, margin


def compile_costs(profile: CostProfile, cap: int) -> Costs:
    """Cost tables for launches of 1..cap rows."""
    stages = profile.num_segments
    seg, ramp = (np.zeros((stages + 1, cap + 1), np.int64) for _ in range(2))
    context, ramp_row, start = (np.zeros(stages + 1, np.int64) for _ in range(3))
    for s in range(1, stages + 1):
        seg[s, 1:] = [profile.segment_cost(s, rows, 0) for rows in range(1, cap + 1)]
        context[s], start[s] = profile.segments[s - 1].per_context, profile.start_cost(s)
        if s < stages:
            ramp[s] = [profile.ramp_cost(s, rows) for rows in range(cap + 1)]
            ramp_row[s] = profile.ramps[s - 1].per_row
    fill = np.array([profile.fill_cost(rows) for rows in range(cap + 1)], np.int64)
    return Costs(seg, context, ramp, ramp_row, start, fill, profile.kv_fill.per_row, profile.rebatch,
                 profile.prefill.fixed, profile.prefill.per_token, *_floors(seg, cap, stages))


_tables: dict[tuple[int, int, int, bool, int], tuple[CostProfile, Costs, Int, Int]] = {}
MAX_CACHED = 64


def _profile_tables(profile: CostProfile, cap: int, n: int, tokens: int, always: bool) -> tuple[Costs, Int, Int]:
    """Costs, cover and packing of a profile object, kept for the next workload (at most MAX_CACHED of them)."""
    key = (id(profile), cap, n, always, tokens)
    found = _tables.get(key)
    if found is not None and found[0] is profile:
        return found[1:]
    costs = compile_costs(profile, cap)
    stages = profile.num_segments
    cover = fill_cover(costs.seg, cap, stages, tokens)
    packing = np.zeros((1, 1, 1), np.int64)
    triples = (cap + 1) * (cap + 2) * (cap + 3) // 6 + (cap + 1) * (cap + 2) // 2
    if stages == 2 and (tokens + 1) * (tokens + 2) // 2 * (n + 1) * triples <= MAX_PACKING_STEPS:
        packing = fill_packing(costs, cap, n, tokens, always)
    if len(_tables) >= MAX_CACHED:
        _tables.pop(next(iter(_tables)))
    _tables[key] = (profile, costs, cover, packing)
    return costs, cover, packing


def compile_instance(workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective, *,
                     always_consult: bool = False, dominance: bool = True) -> Instance:
    """Check and compile. `dominance`: allow pruning by the rules of `launches` where their preconditions hold."""
    check_problem(workload, profile, config, objective)
    requests = workload.requests
    n, stages = len(requests), workload.num_segments
    cap = min(config.batch_max, config.max_num_seqs, n)
    costs, cover, packing = _profile_tables(profile, cap, n, workload.num_tokens, always_consult)
    lengths = [len(request.depths) for request in requests]
    longest = max(lengths)
    depths = np.zeros((n, longest), np.int64)
    for row, request in enumerate(requests):
        depths[row, :lengths[row]] = request.depths
    arrival = np.array([request.arrival for request in requests], np.int64)
    prompt = np.array([request.prompt_tokens for request in requests], np.int64)
    count = np.array(lengths, np.int64)
    codes = 2 + longest * stages
    pool, depth, ctx, kind, chain, shallow, floor_work, spread_work, context_work = (
        np.zeros((n, codes), np.int64) for _ in range(9))
    visits = np.zeros((n, codes, stages + 1), np.int64)
    kinds = fill_codes(depths, count, prompt, costs, stages, always_consult, pool, depth, ctx, kind, chain, visits,
                       shallow, floor_work, spread_work, context_work)
    safe = bool(np.all([costs.start[s] <= costs.seg[s - 1, 1] + costs.start[s - 1] for s in range(2, stages + 1)]))
    safe = safe and (config.max_num_seqs >= n or not prompt.any())
    instance = Instance(n, stages, cap, config.max_num_seqs, always_consult, objective == "total-completion",
                        dominance and safe, costs, arrival, prompt, 1 + count * stages, pool, depth, ctx, kind, chain,
                        visits, shallow, floor_work, spread_work, context_work, cover, packing,
                        np.zeros(n + 1, np.int64), kinds, np.zeros((0, 0), np.int64), np.zeros(0, np.int64),
                        _longest(costs, cap, stages, ctx, prompt))
    fill_tail(instance)
    return instance


def _longest(costs: Costs, cap: int, stages: int, ctx: Int, prompt: Int) -> int:
    """Ticks that no launch exceeds."""
    ticks: int = int(costs.start.max()) + costs.rebatch + int(costs.fill[cap])
    for s in range(1, stages + 1):
        ticks += int(costs.seg[s, cap]) + int(costs.ramp[s, cap]) + cap * int(costs.context[s]) * int(ctx.max())
    prefill = int(costs.prefill_fixed + costs.prefill_token * int(prompt.sum()))
    return max(ticks, prefill)


@kernel
def fill_cover(seg: Int, cap: Scalar, stages: Scalar, tokens: Scalar) -> Int:
    """cover[s, r], see Instance."""
    cover = np.zeros((stages + 1, tokens + 1), np.int64)
    for s in range(1, stages + 1):
        for r in range(1, tokens + 1):
            best = cover[s, r - 1] + seg[s, 1]
            for rows in range(2, min(cap, r) + 1):
                best = min(best, cover[s, r - rows] + seg[s, rows])
            cover[s, r] = best
    return cover


@kernel
def fill_packing(costs: Costs, cap: Scalar, n: Scalar, tokens: Scalar, always: bool) -> Int:
    """packing[a, d, p] for K = 1: every launch of the model is one of the three kinds tried here.

    deep: p2 rows of pool 2 · full: i shallow and j deep rows of pool 1 joined by k of pool 2 · split: i leave at
    the ramp, j are parked. Deep costs of context are left out (they are additive, see `context_work`).
    """
    table = np.zeros((tokens + 1, tokens + 1, n + 1), np.int64)
    seg, ramp, fill = costs.seg, costs.ramp, costs.fill
    for work in range(tokens + 1):
        for a in range(work + 1):
            d = work - a
            for p in range(n + 1):
                if work == 0 and p == 0:
                    continue
                best = np.int64(2**62)
                for k in range(1, min(cap, p) + 1):
                    best = min(best, table[a, d, p - k] + costs.start[2] + seg[2, k])
                for i in range(min(cap, a) + 1):
                    for j in range(min(cap - i, d) + 1):
                        if i + j == 0:
                            continue
                        first = seg[1, i + j]
                        closing = ramp[1, i + j] + fill[i]
                        if p + j <= n:
                            parked = costs.rebatch if j else 0
                            best = min(best, table[a - i, d - j, p + j] + first + closing + parked)
                        if always:
                            first += closing
                        for k in range(min(cap - i - j, p) + 1):
                            best = min(best, table[a - i, d - j, p - k] + first + seg[2, i + j + k])
                table[a, d, p] = best
    return table


@kernel
def fill_codes(depths: Int, count: Int, prompt: Int, costs: Costs, stages: Scalar, always: bool, pool: Int, depth: Int,
               ctx: Int, kind: Int, chain: Int, visits: Int, shallow: Int, floor_work: Int, spread_work: Int,
               context_work: Int) -> Scalar:
    """Fill the [row, code] tables from the last code back; returns the number of classes.

    chain: least time in which the request alone could finish from here · visits[s]: passes of segment s it still
    needs · shallow: tokens of depth 1 to come, not counting one that is past segment 1 · floor_work: work of its
    own per row (margins) that `cover` leaves out · spread_work: slopes of all its visits and extras · context_work:
    cost of the contexts it must pass · kind: class, 0 = complete.
    """
    n = len(count)
    with_context = costs.context.any()
    seen = np.zeros((n * pool.shape[1] + 1, 4), np.int64)  # of each class: depth, pool, class after, context
    kinds = 1
    for row in range(n):
        last = 1 + count[row] * stages
        after = last
        for e in range(count[row] - 1, -1, -1):
            d = depths[row, e]
            context = prompt[row] + e
            for s in range(stages, 0, -1):
                here = 1 + e * stages + s - 1
                pool[row, here], depth[row, here], ctx[row, here] = s, d, context
                _token(row, here, after, s, d, context, costs, stages, always, chain, visits, floor_work,
                       spread_work, context_work)
                shallow[row, here] = shallow[row, after] + int(s == 1 and d == 1)
                found = 0
                for other in range(1, kinds):
                    if (seen[other, 0] == d and seen[other, 1] == s and seen[other, 2] == kind[row, after]
                            and (seen[other, 3] == context or not with_context)):
                        found = other
                        break
                if found == 0:
                    found = kinds
                    seen[kinds, 0], seen[kinds, 1], seen[kinds, 2], seen[kinds, 3] = d, s, kind[row, after], context
                    kinds += 1
                kind[row, here] = found
            after = 1 + e * stages
        first, prefill = 1, 0
        if prompt[row] > 0:
            first, prefill = 1 + stages, costs.prefill_token * prompt[row]
            chain[row, 0] = costs.prefill_fixed
        chain[row, 0] += chain[row, first] + prefill
        floor_work[row, 0] = floor_work[row, first] + prefill
        spread_work[row, 0] = spread_work[row, first] + prefill
        context_work[row, 0] = context_work[row, first] + prefill
        shallow[row, 0] = shallow[row, first]
        for s in range(1, stages + 1):
            visits[row, 0, s] = visits[row, first, s]
    return kinds


@kernel
def _token(row: Scalar, here: Scalar, after: Scalar, s: Scalar, d: Scalar, context: Scalar, costs: Costs,
           stages: Scalar, always: bool, chain: Int, visits: Int, floor_work: Int, spread_work: Int,
           context_work: Int) -> None:
    """One token of depth d waiting in pool s: its least cost alone, and its shares for the work bounds.

    A token leaves at a consulted ramp r >= d, or after the last segment. It gets into pool s's launch through a
    launch that began at some s' <= s. Extra rows in a segment cost at least its margin (slope), a ramp its per_row.
    """
    entry = costs.start[s]
    run = np.int64(0)
    for begin in range(s - 1, 0, -1):
        run += costs.seg[begin, 1]
        entry = min(entry, run + costs.start[begin])
    best_alone = best_floor = best_spread = np.int64(2**62)
    alone, floor_extra, spread_extra = entry, np.int64(0), np.int64(0)
    must_spread, must_context = np.int64(0), np.int64(0)
    for r in range(s, stages + 1):
        alone += costs.seg[r, 1] + costs.context[r] * context
        if r <= d or r == s:
            visits[row, here, r] = visits[row, after, r] + 1
            must_spread += costs.slope[r]
            must_context += costs.context[r] * context
        else:
            visits[row, here, r] = visits[row, after, r]
            floor_extra += costs.margin[r]
            spread_extra += costs.slope[r]
        if r < stages:
            leave = costs.ramp_row[r] + costs.fill_row
            if r >= d:
                best_alone = min(best_alone, alone + costs.ramp[r, 1] + costs.fill[1])
                best_floor = min(best_floor, floor_extra + leave)
                best_spread = min(best_spread, spread_extra + leave)
            if always:
                alone += costs.ramp[r, 1]
                floor_extra += costs.ramp_row[r]
                spread_extra += costs.ramp_row[r]
    for r in range(1, s):
        visits[row, here, r] = visits[row, after, r]
    chain[row, here] = chain[row, after] + min(best_alone, alone)
    floor_work[row, here] = floor_work[row, after] + min(best_floor, floor_extra) + must_context
    spread_work[row, here] = spread_work[row, after] + min(best_spread, spread_extra) + must_spread + must_context
    context_work[row, here] = context_work[row, after] + must_context


@kernel
def fill_tail(instance: Instance) -> None:
    """tail[j] = max over j' >= j of arrival[j'] + work of the requests from j' on (none of which can begin before)."""
    stages, n = instance.stages, instance.n
    total = np.zeros(stages + 1, np.int64)
    own = context = shallow = longest = np.int64(0)
    prompted = False
    for j in range(n - 1, -1, -1):
        own += instance.floor_work[j, 0]
        context += instance.context_work[j, 0]
        shallow += instance.shallow[j, 0]
        prompted = prompted or instance.prompt[j] > 0
        longest = max(longest, instance.arrival[j] + instance.chain[j, 0])
        work = own
        for s in range(1, stages + 1):
            total[s] += instance.visits[j, 0, s]
            work += instance.cover[s, total[s]]
        if instance.packing.shape[0] > 1:
            work = max(work, context + instance.packing[shallow, total[2], 0])
        if prompted:
            work += instance.costs.prefill_fixed
        instance.tail[j] = max(instance.tail[j + 1], longest, instance.arrival[j] + work)
