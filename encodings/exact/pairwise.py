"""Pairwise bounds: the cheapest way to finish any two requests alone, from every pair of remaining strings.

A request's remaining work is a string over segments: a token of depth d needs segments 1, 2, ..., d in this
order. Two requests that had the server to themselves would finish after a *weighted shortest common supersequence*
of their strings; one dynamic programme per pair gives it for all pairs of suffixes at once.

The programme (`_fill_pair`) moves by launches. A launch from segment x to segment e costs at least

    start[x] + sum of the fixed costs of segments x..e, each at its minimum over buckets
    + if e <= K: ramp e consulted (fixed + per_row * those of the two that take part)
                 + kv_fill(those of the two that exit) + rebatch if one of the two is parked.

Of the two requests, those at a segment s with x <= s <= e may take part: with depth <= e the token completes at
e, deeper rows are parked before e + 1. The programme takes the minimum over x, e and the subset that takes part.

Why it bounds the remaining makespan of *every* schedule, caps, places, arrivals and other requests included:
1. Every launch starts at one x, ends at one e, and all its exit-ready rows complete at e. It cannot end at
   e <= K without consulting ramp e; latched rows pay the fill there; parked rows pay rebatch. So the launch costs
   at least the above for whichever of the two take part; a launch with neither costs >= 0; launches do not overlap.
2. A shallow token that rides deep (CONTINUE, or a ramp that is not consulted) is a launch with larger e: one
   move of the programme, which pays the deep segments and, at e = K + 1, neither ramp nor fill.
3. A launch can begin at a segment x < s for the sake of other rows, with a smaller start: x is free in 1..s.
4. Caps, places, arrivals, prompts and the order of admissions only forbid schedules of the two.
A launch of one row (batch_max = 1) has one participant; the programme then allows no common launch.

What may be added (`remaining_row_work`): per_row and per_context of the segments each remaining token must pass
once, and prefill work, because the programme charges fixed costs only and prefills are launches of their own.
Preconditions, checked: workload and profile have the same segments and tick. Nothing else is assumed: K >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, ServerConfig, Workload
from xplain.encodings.exact.kernel import kernel

Int = NDArray[np.int64]
INFINITE = np.int64(2**62)
MAX_BOUND = 2**60


@dataclass(frozen=True)
class Strings:
    """The segment strings of a workload's requests, flattened: one position per segment still to pass.

    Row i of each array belongs to request i, padded; `length[i]` is the final position (request complete).
    stage[i, p]: segment needed next · depth[i, p]: depth of the current token · after[i, p]: position once that
    token is out · token_start[i, t]: position of token t at segment 1 (t = number of tokens: the final position).
    The first token of a prompted request comes from its prefill and takes no position.
    """

    length: Int
    stage: Int
    depth: Int
    after: Int
    token_start: Int

    @classmethod
    def of(cls, workload: Workload) -> Strings:
        """Strings of the whole workload."""
        steps = [tuple(0 if request.prompt_tokens and token == 0 else depth
                       for token, depth in enumerate(request.depths)) for request in workload.requests]
        lengths = [sum(step) for step in steps]
        num, width, tokens = len(steps), max(lengths) + 1, max(map(len, steps)) + 1
        stage, depth, after = (np.zeros((num, width), np.int64) for _ in range(3))
        token_start = np.zeros((num, tokens), np.int64)
        for row, step in enumerate(steps):
            starts = list(accumulate(step, initial=0))
            token_start[row] = [*starts, *[lengths[row]] * (tokens - len(starts))]
            for start, token_depth in zip(starts, step, strict=False):
                here = slice(start, start + token_depth)
                stage[row, here] = np.arange(1, token_depth + 1)
                depth[row, here], after[row, here] = token_depth, start + token_depth
        return cls(np.asarray(lengths, np.int64), stage, depth, after, token_start)

    def position(self, row: int, emitted: int, segment: int) -> int:
        """Position of request `row` with `emitted` tokens out whose next token needs `segment` next.

        A segment beyond the token's depth (a token that rides deep) counts as the token being out.
        """
        start, end = int(self.token_start[row, emitted]), int(self.token_start[row, emitted + 1])
        return min(start + segment - 1, end)


def launch_floor(profile: CostProfile) -> Int:
    """[s, e, m, x]: least cost of a launch that ends at segment e and serves m <= 2 rows, the first needed at s.

    x of the m rows exit at e, the others are parked. Minimum over the segment <= s where the launch begins and
    over buckets; segments are 1-based, INFINITE where e < s.
    """
    count = profile.num_segments
    fixed = [min(segment.fixed) for segment in profile.segments]
    floor = np.full((count + 1, count + 1, 3, 3), INFINITE, np.int64)
    for end in range(1, count + 1):
        cheapest = int(INFINITE)
        for begin in range(1, end + 1):
            cheapest = min(cheapest, profile.start_cost(begin) + sum(fixed[begin - 1:end]))
            for rows in (1, 2):
                for exits in range(rows + 1):
                    closing = 0
                    if end < count:
                        closing = (profile.ramp_cost(end, rows) + profile.fill_cost(exits)
                                   + (profile.rebatch if exits < rows else 0))
                    floor[begin, end, rows, exits] = cheapest + closing
    return floor


@dataclass(frozen=True)
class PairTables:
    """Bounds for single requests and for pairs of `covered` requests, over kept positions.

    `index[i, p]` numbers the kept positions of request i. `chain[i, a]`: request i alone from its kept position a.
    The pair (i, j), i < j both covered (ranks u < v in `covered`), at kept positions a, b is
    `table[base[u] + a * stride[u] + column[v] - column[u + 1] + b]`: for fixed (i, a) all partners lie together.
    """

    index: Int
    chain: Int
    covered: Int
    base: Int
    stride: Int
    column: Int
    table: Int

    def bound(self, kept: Int) -> int:
        """Largest bound over all requests and covered pairs at kept positions `kept[i]`; ticks."""
        return pair_bound(kept, self.chain, self.covered, self.base, self.stride, self.column, self.table)


def check_profile(workload: Workload, profile: CostProfile) -> None:
    """Refuse workload and profile that do not speak of the same model or time unit (LimitError)."""
    if workload.num_segments != profile.num_segments:
        raise LimitError(f"workload has {workload.num_segments} segments, profile {profile.name} has "
                         f"{profile.num_segments}")
    if workload.tick != profile.tick:
        raise LimitError(f"workload counts in {workload.tick}, profile {profile.name} in {profile.tick}")


def build_tables(strings: Strings, profile: CostProfile, config: ServerConfig, *,
                 keep: NDArray[np.bool_] | None = None, max_cells: int = 2**25) -> PairTables:
    """Tables for all requests (chains) and as many of the most expensive requests (pairs) as fit `max_cells`.

    keep[i, p]: positions to keep (default all; final positions are always kept). LimitError if bounds could
    pass 2^60 ticks.
    """
    num, width = strings.stage.shape
    floor = launch_floor(profile)
    if int(floor[1, -1, 1, 1]) * 2 * int(strings.length.max()) > MAX_BOUND:
        raise LimitError(f"pairwise bounds of {int(strings.length.max())} segments could pass {MAX_BOUND} ticks; use "
                         "a coarser tick")
    kept = np.ones((num, width), np.bool_) if keep is None else keep.copy()
    kept &= np.arange(width) <= strings.length[:, None]
    kept[np.arange(num), strings.length] = True
    index = np.cumsum(kept, axis=1) - 1
    chain_all = _chains(strings.length, strings.stage, strings.depth, strings.after, floor)
    chain = np.zeros((num, int(index.max()) + 1), np.int64)
    for row in range(num):
        values = chain_all[row, kept[row]]
        chain[row, :len(values)] = values
    covered = _affordable(chain[:, 0], kept.sum(axis=1), max_cells)
    sizes = kept[covered].sum(axis=1)
    column = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    stride = column[-1] - column[1:]
    base = np.concatenate([[0], np.cumsum(sizes * stride)])[:-1].astype(np.int64)
    table = np.zeros(int((sizes * stride).sum()), np.int64)
    _pairs(strings.length, strings.stage, strings.depth, strings.after, chain_all, kept, covered, base, stride,
           column, table, config.batch_max >= 2, floor)
    return PairTables(index, chain, covered, base, stride, column, table)


def _affordable(chain: Int, sizes: Int, max_cells: int) -> Int:
    """The requests with the largest chains whose pair tables together have at most max_cells cells, sorted."""
    order = np.argsort(-chain, kind="stable")
    total = cells = 0
    taken = 0
    for row in order:
        cells += total * int(sizes[row])
        if cells > max_cells:
            break
        total += int(sizes[row])
        taken += 1
    return np.sort(order[:taken]).astype(np.int64)


@kernel
def _chains(length: Int, stage: Int, depth: Int, after: Int, floor: Int) -> Int:
    """[i, p]: cheapest launches that finish request i alone from position p."""
    num_segments = floor.shape[0] - 1
    value = np.zeros(stage.shape, np.int64)
    for i in range(stage.shape[0]):
        for p in range(length[i] - 1, -1, -1):
            best = INFINITE
            for end in range(stage[i, p], num_segments + 1):
                out = depth[i, p] <= end
                target = after[i, p] if out else p + end + 1 - stage[i, p]
                best = min(best, value[i, target] + floor[stage[i, p], end, 1, int(out)])
            value[i, p] = best
    return value


@kernel
def _pairs(length: Int, stage: Int, depth: Int, after: Int, chain: Int, kept: NDArray[np.bool_], covered: Int,
           base: Int, stride: Int, column: Int, table: Int, together: bool, floor: Int) -> None:
    """Fill `table` for every covered pair; `together`: a launch may serve both."""
    width = stage.shape[1]
    value = np.zeros((width, width), np.int64)
    for u in range(len(covered)):
        for v in range(u + 1, len(covered)):
            i, j = covered[u], covered[v]
            _fill_pair(i, j, length, stage, depth, after, chain, value, together, floor)
            a = 0
            for p in range(length[i] + 1):
                if kept[i, p]:
                    cell = base[u] + a * stride[u] + column[v] - column[u + 1]
                    for q in range(length[j] + 1):
                        if kept[j, q]:
                            table[cell] = value[p, q]
                            cell += 1
                    a += 1


@kernel
def _fill_pair(i: int, j: int, length: Int, stage: Int, depth: Int, after: Int, chain: Int, value: Int,
               together: bool, floor: Int) -> None:
    """value[p, q]: cheapest launches that finish requests i from p and j from q."""
    num_segments = floor.shape[0] - 1
    for q in range(length[j] + 1):
        value[length[i], q] = chain[j, q]
    for p in range(length[i] - 1, -1, -1):
        value[p, length[j]] = chain[i, p]
        sp = stage[i, p]
        for q in range(length[j] - 1, -1, -1):
            sq = stage[j, q]
            best = INFINITE
            for end in range(min(sp, sq), num_segments + 1):
                p_out, q_out = depth[i, p] <= end, depth[j, q] <= end
                p_next = after[i, p] if p_out else p + end + 1 - sp
                q_next = after[j, q] if q_out else q + end + 1 - sq
                if sp <= end:
                    best = min(best, value[p_next, q] + floor[sp, end, 1, int(p_out)])
                if sq <= end:
                    best = min(best, value[p, q_next] + floor[sq, end, 1, int(q_out)])
                if together and sp <= end and sq <= end:
                    best = min(best, value[p_next, q_next] + floor[min(sp, sq), end, 2, int(p_out) + int(q_out)])
            value[p, q] = best


@kernel
def pair_bound(kept: Int, chain: Int, covered: Int, base: Int, stride: Int, column: Int, table: Int) -> int:
    """As `PairTables.bound`, for use inside other kernels."""
    best = 0
    for i in range(len(kept)):
        best = max(best, int(chain[i, kept[i]]))
    for u in range(len(covered)):
        row = base[u] + kept[covered[u]] * stride[u] - column[u + 1]
        for v in range(u + 1, len(covered)):
            best = max(best, int(table[row + column[v] + kept[covered[v]]]))
    return best
