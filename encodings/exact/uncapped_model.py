"""The uncapped makespan as a word problem: when it applies, its letters, and the schedule of a word.

With batch_max >= n, N >= n, all requests there at 0 without prompts, and costs that do not depend on who rides along,
a schedule is a word of launches and the makespan the sum of their costs plus a constant: a *weighted shortest common
supersequence* of the requests' segment strings. Source: scheduling model, section Clairvoyant optimum.

Letters (x, e): a launch from segment x to segment e that consults no ramp before e, takes along every row at a segment
x..e, and at e <= K consults ramp e and splits. Cost: segments x..e and, for e <= K, ramp e.

Why words of letters suffice. *Further never costs more*: a row that is further ahead can copy. So every launch
takes all rows it can, SPLIT is as good as CONTINUE where parking is free, and consulting a ramp in the middle only adds
its price. Letter (x, e) right after (y, x - 1) is left out: (y, e) does the same for no more.
With K = 1 this leaves (1, 1) and (1, 2), so rows before segment 2 need not be told from rows before segment 1. Then
(1, 1) need only take the rows that exit: nobody is parked and no launch starts at 2, so start and rebatch may be
anything, and each (1, 1) has one kv_fill, of which the fixed part may be anything.

*Free ramps*: where segments after the first have per_row or per_context costs, riding would add them. If ramps, starts
and rebatch are free (and fill is), every ramp is consulted, nobody rides, and these costs are a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Action, Kind
from xplain.encodings.exact.pairwise import Int, Strings, check_profile


def applies(workload: Workload, profile: CostProfile, config: ServerConfig) -> str | None:
    """None if the uncapped word problem is the clairvoyant makespan; else the first precondition that fails.

    LimitError if workload and profile do not belong together.
    """
    check_profile(workload, profile)
    num = len(workload.requests)
    checks = (
        (config.batch_max < num, f"batch_max = {config.batch_max} is below the {num} requests"),
        (config.max_num_seqs < num, f"max_num_seqs = {config.max_num_seqs} is below the {num} requests"),
        (num > profile.max_rows, f"profile {profile.name} covers {profile.max_rows} rows, there are {num} requests"),
        (any(request.arrival for request in workload.requests), "a request arrives after 0"),
        (any(request.prompt_tokens for request in workload.requests), "a request has a prompt"),
    )
    return next((why for failed, why in checks if failed), None) or _cost_obstacle(profile, num)


def _cost_obstacle(profile: CostProfile, num: int) -> str | None:
    if any(len(set(segment.fixed[:profile.bucket_index(num) + 1])) > 1 for segment in profile.segments):
        return f"a segment's fixed cost differs between buckets up to {num} rows"
    if any(ramp.per_row for ramp in profile.ramps):
        return "a ramp has a per_row cost"
    if profile.kv_fill.per_row:
        return "kv_fill has a per_row cost"
    riding, binary = riding_costs(profile), profile.num_segments <= 2
    if (riding or not binary) and profile.kv_fill.fixed:
        return "kv_fill has a fixed cost" + _context(riding)
    if (riding or not binary) and profile.rebatch:
        return "rebatch has a cost" + _context(riding)
    if (riding or not binary) and any(profile.starts):
        return "start has a cost" + _context(riding)
    if riding and any(ramp.fixed for ramp in profile.ramps):
        return "a ramp has a cost" + _context(riding)
    return None


def _context(riding: bool) -> str:
    return " and segments after the first have per_row or per_context costs" if riding else " and K is 2 or more"


def riding_costs(profile: CostProfile) -> bool:
    """A row that rides on beyond its depth adds to the cost of the pass."""
    return any(segment.per_row or segment.per_context for segment in profile.segments[1:])


@dataclass(frozen=True)
class Letters:
    """The alphabet over kept positions (K = 1: token starts; K >= 2: every segment of every token).

    first[l], last[l]: segments where letter l begins and ends · cost[l]: ticks · keep[i, p]: kept positions ·
    move[l, i, a]: kept position of request i after letter l, from its kept position a · stage[i, a]: segment
    needed next at kept position a, 0 at the end (a launch needs a row at its first segment) · final[i].
    """

    first: Int
    last: Int
    cost: Int
    keep: NDArray[np.bool_]
    move: NDArray[np.int32]
    stage: Int
    final: NDArray[np.int32]

    @classmethod
    def of(cls, strings: Strings, profile: CostProfile) -> Letters:
        """Letters of a profile for which `applies` is None."""
        count = profile.num_segments
        num, width = strings.stage.shape
        binary = count <= 2
        spans = [(x, e) for x in range(1, 2 if binary else count + 1) for e in range(x, count + 1)]
        cost = [sum(segment.fixed[0] for segment in profile.segments[x - 1:e])
                + (profile.ramps[e - 1].fixed + profile.kv_fill.fixed if e < count else 0) for x, e in spans]
        columns = np.arange(width)
        keep = columns <= strings.length[:, None]
        if binary:
            keep &= (strings.stage == 1) | (columns == strings.length[:, None])
        index = np.cumsum(keep, axis=1) - 1
        final = index[np.arange(num), strings.length]
        move = np.zeros((len(spans), num, int(index.max()) + 1), np.int32)
        stage = np.zeros((num, int(index.max()) + 1), np.int64)
        for row in range(num):
            kept = np.flatnonzero(keep[row])
            stage[row, :len(kept)] = strings.stage[row, kept]
            for letter, (x, e) in enumerate(spans):
                target = _target(strings, row, kept, x, e, binary)
                move[letter, row] = final[row]
                move[letter, row, :len(kept)] = index[row, target]
        first, last = (np.asarray(ends, np.int64) for ends in zip(*spans, strict=True))
        return cls(first, last, np.asarray(cost, np.int64), keep, move, stage, final.astype(np.int32))


def _target(strings: Strings, row: int, kept: Int, x: int, e: int, binary: bool) -> Int:
    """Positions after a launch (x, e) from positions `kept` of one request."""
    stage, depth, after = (table[row, kept] for table in (strings.stage, strings.depth, strings.after))
    taken = (x <= stage) & (stage <= e)
    exits = taken & (depth <= e)
    parked = kept if binary else np.where(taken, kept + e + 1 - stage, kept)
    return np.where(exits, after, parked)


def schedule_of(word: list[tuple[int, int]], workload: Workload, profile: CostProfile) -> tuple[Action, ...]:
    """The actions of a word of (first, last) segments that completes every request."""
    strings = Strings.of(workload)
    positions = np.zeros(len(workload.requests), np.int64)
    actions: list[Action] = []
    if riding_costs(profile):
        word = [(segment, segment) for first, last in word for segment in range(first, last + 1)]
    selective = profile.num_segments <= 2 and not riding_costs(profile)
    for first, last in word:
        actions += _launch(first, last, strings, positions, selective, profile.num_segments)
    return tuple(actions)


def _launch(first: int, last: int, strings: Strings, positions: Int, selective: bool, count: int) -> list[Action]:
    """Actions of one launch; moves `positions`. `selective`: take only rows that exit at `last`."""
    everyone = np.arange(len(positions))

    def pool(segment: int) -> tuple[int, ...]:
        here = (positions < strings.length) & (strings.stage[everyone, positions] == segment)
        if selective:
            here &= strings.depth[everyone, positions] <= last
        return tuple(int(row) for row in np.flatnonzero(here))

    rows = pool(first)
    if not rows:
        return []
    actions = [Action(Kind.RUN, first, rows)]
    batch = list(rows)
    for segment in range(first, last):
        actions.append(Action(Kind.SKIP))
        if joining := pool(segment + 1):
            actions.append(Action(Kind.JOIN, 0, joining))
            batch += joining
    if last < count:
        actions += [Action(Kind.CONSULT), Action(Kind.SPLIT)]
    riders = np.asarray(batch)
    here = positions[riders]
    positions[riders] = np.where(strings.depth[riders, here] <= last, strings.after[riders, here],
                                 here + last + 1 - strings.stage[riders, here])
    return actions
