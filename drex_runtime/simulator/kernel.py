"""The mechanics of the scheduling model for numba: the twin of `simulator.mechanics`, choice by choice.

Integers and their order of events are the same; tests compare the two to the tick. Source: scheduling model,
section Decisions. Rows of a pass are kept unordered: nothing depends on their order.
"""

from __future__ import annotations

from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.simulator import accounting as spent_on
from drex_runtime.simulator.memory import (
    ARRIVED,
    AT_CONSULT,
    AT_JOIN,
    AT_RAMP,
    BATCH,
    BUFFERED,
    BUSY,
    CLOCK_PASSED,
    COMPLETED,
    CONTEXT,
    DECIDE,
    DECODES,
    DEPTH,
    DO_APART,
    DO_CONSULT,
    DO_CONTINUE,
    DO_EXIT_ALL,
    DO_IDLE,
    DO_JOIN,
    DO_PREFILL,
    DO_RELEASE,
    DO_RUN,
    DO_SKIP,
    DO_SPLIT,
    DONE,
    EMITTED,
    END,
    EXITS,
    IDLES_FOR_EVER,
    IN_FLIGHT,
    INVOLUNTARY_EXITS,
    INVOLUNTARY_STAYS,
    LAST,
    LATCHED,
    LAUNCHED,
    LAUNCHED_ROWS,
    LAUNCHES,
    LEFT,
    NEXT_PROMPTED,
    NONE,
    NOW,
    NUM_LATCHED,
    PARTIAL,
    PHASE,
    PLACE,
    PREFILLED,
    PREFILLING,
    ROW_SEGMENTS,
    SEGMENT,
    SPLITS,
    STAMPED,
    STATUS,
    STREAK,
    UNPLACED,
    WAITING_PLACE,
    Costs,
    Memory,
    Server,
    Work,
    empty_batch,
    enter_pool,
    inner,
    take_first,
)


@inner
def advance(m: Memory, server: Server, ticks: int, parked: int, prefilling: int) -> None:
    """The clock moves on; `parked` rows of the buffers and `prefilling` requests are accounted elsewhere."""
    census, spent = m.scalars, m.spent
    census[NOW] += ticks
    if census[NOW] > MAX_TIME:
        census[STATUS] = CLOCK_PASSED
    spent[spent_on.BUFFERED] += ticks * (census[BUFFERED] - parked)
    spent[spent_on.WAITING] += ticks * (m.tail[0] - m.head[0] + census[PARTIAL] - prefilling)
    spent[spent_on.EMPTY] += ticks * (server.max_num_seqs - census[IN_FLIGHT])


@inner
def spend(m: Memory, server: Server, ticks: int, category: int) -> None:
    """The device works `ticks` for the running pass."""
    m.scalars[BUSY] += ticks
    m.spent[category] += ticks * m.scalars[BATCH]
    advance(m, server, ticks, 0, 0)


@inner
def fill(m: Memory, costs: Costs, server: Server, rows: int) -> None:
    """Pay the KV fill of `rows` rows that leave early."""
    if rows > 0:
        spend(m, server, costs.fill_fixed + costs.fill_row * rows, spent_on.FILL)


@inner
def emit(m: Memory, work: Work, edf: bool, row: int, segment: int) -> None:
    """The next token of `row` is out; it completes or enters pool 1 now."""
    fields, census = m.rows, m.scalars
    now, emitted, start = census[NOW], fields[EMITTED, row], work.offset[row]
    at = now
    if fields[LATCHED, row] > 0:
        segment = fields[LATCHED, row]
        if fields[STAMPED, row] != NONE:
            at = fields[STAMPED, row]
        fields[LATCHED, row], fields[STAMPED, row] = 0, NONE
    if len(m.token_times) > 0:
        m.token_times[start + emitted], m.token_depths[start + emitted] = at, segment
    emitted += 1
    fields[EMITTED, row], fields[LAST, row] = emitted, at
    if start + emitted == work.offset[row + 1]:
        fields[PLACE, row], fields[COMPLETED, row] = DONE, at
        census[LEFT] -= 1
        census[IN_FLIGHT] -= 1
    else:
        fields[DEPTH, row] = work.depths[start + emitted]
        enter_pool(m, work, edf, 1, row, now)


@inner
def rest(m: Memory) -> None:
    """The device is free."""
    empty_batch(m)
    m.scalars[SEGMENT], m.scalars[EXITS] = 0, 0
    m.scalars[PHASE] = END if m.scalars[LEFT] == 0 else DECIDE


@inner
def run_segment(m: Memory, work: Work, costs: Costs, server: Server, edf: bool) -> None:
    """The batch passes its segment; the last one ends the pass."""
    census, s = m.scalars, m.scalars[SEGMENT]
    size, bucket = census[BATCH], 0
    while costs.buckets[bucket] < size:
        bucket += 1
    ticks = costs.fixed[s - 1, bucket] + costs.per_row[s - 1] * size + costs.per_context[s - 1] * census[CONTEXT]
    over = 0
    for depth in range(1, s):
        over += m.count[depth]
    census[BUSY] += ticks
    census[ROW_SEGMENTS] += size
    m.spent[spent_on.COMPUTE] += ticks * (size - over)
    m.spent[spent_on.STAY] += ticks * census[NUM_LATCHED]
    m.spent[spent_on.UNSEEN] += ticks * (over - census[NUM_LATCHED])
    advance(m, server, ticks, 0, 0)
    if s < len(costs.start):
        census[PHASE] = AT_CONSULT
        return
    fill(m, costs, server, census[NUM_LATCHED])
    for j in range(size):
        emit(m, work, edf, m.batch[j], s)
    rest(m)


@inner
def go_on(m: Memory, work: Work, costs: Costs, server: Server, edf: bool) -> None:
    """To the next segment, by way of JOIN if somebody waits there and there is room."""
    s = m.scalars[SEGMENT]
    if m.tail[s] > m.head[s] and m.scalars[BATCH] < server.batch_max:
        m.scalars[PHASE] = AT_JOIN
    else:
        next_segment(m, work, costs, server, edf)


@inner
def next_segment(m: Memory, work: Work, costs: Costs, server: Server, edf: bool) -> None:
    """The batch enters the next segment."""
    m.scalars[SEGMENT] += 1
    m.scalars[EXITS] = 0
    run_segment(m, work, costs, server, edf)


@inner
def launched(m: Memory, rows: int) -> None:
    """A launch with `rows` rows (batch[:rows]) begins."""
    m.scalars[LAUNCHES] += 1
    m.scalars[LAUNCHED] = rows
    m.scalars[LAUNCHED_ROWS] += rows
    m.scalars[STREAK] = 0


@inner
def prefill(m: Memory, work: Work, costs: Costs, server: Server, edf: bool) -> None:
    """PREFILL; its rows are left in batch[:LAUNCHED]."""
    census, fields = m.scalars, m.rows
    budget, size, tokens, pairs = server.prefill_tokens, 0, 0, 0
    for j in range(census[NEXT_PROMPTED], len(work.prompted)):
        row = work.prompted[j]
        place = fields[PLACE, row]
        if place != WAITING_PLACE and place != PREFILLING:
            continue
        if work.arrival[row] > census[NOW] or budget == 0:
            break
        if place == WAITING_PLACE:
            if census[IN_FLIGHT] >= server.max_num_seqs:
                break
            fields[PLACE, row] = PREFILLING
            census[IN_FLIGHT] += 1
            census[UNPLACED] -= 1
            census[PARTIAL] += 1
        chunk = work.prompt[row] - fields[PREFILLED, row]
        if budget != NONE:
            chunk = min(chunk, budget)
            budget -= chunk
        tokens += chunk
        pairs += chunk * fields[PREFILLED, row]
        fields[PREFILLED, row] += chunk
        m.batch[size] = row
        size += 1
    launched(m, size)
    census[DECODES] = 0
    ticks = costs.prefill_fixed + costs.prefill_token * tokens + costs.prefill_pair * pairs
    census[BUSY] += ticks
    m.spent[spent_on.PREFILL] += ticks * size
    advance(m, server, ticks, 0, size)
    for j in range(size):
        row = m.batch[j]
        if fields[PREFILLED, row] == work.prompt[row]:
            census[PARTIAL] -= 1
            emit(m, work, edf, row, len(costs.start))
    rest(m)


@inner
def run(m: Memory, work: Work, costs: Costs, server: Server, edf: bool, pool: int, rows: int) -> None:
    """RUN(pool) with its first `rows` rows."""
    launched(m, rows)
    if pool == 1:
        m.scalars[DECODES] += 1
    take_first(m, work, pool, rows)
    m.ages[pool - 1] = 0
    m.scalars[SEGMENT], m.scalars[EXITS] = pool, 0
    if pool >= 2:
        spend(m, server, costs.start[pool - 1], spent_on.OVERHEAD)
    run_segment(m, work, costs, server, edf)


@inner
def idle(m: Memory, work: Work, server: Server, prefill_possible: bool) -> None:
    """IDLE until the next arrival, at most idle_max."""
    census, longest = m.scalars, server.idle_max
    if census[ARRIVED] == len(work.arrival):
        census[STREAK] += prefill_possible or census[BUFFERED] > 0 or m.tail[0] > m.head[0]
        if longest == NONE or census[STREAK] >= 2:
            census[STATUS] = IDLES_FOR_EVER
            return
        ticks = longest
    else:
        census[STREAK] = 0
        ticks = work.arrival[census[ARRIVED]] - census[NOW]
        if longest != NONE:
            ticks = min(ticks, longest)
    census[NOW] += ticks
    if census[NOW] > MAX_TIME:
        census[STATUS] = CLOCK_PASSED
    m.spent[spent_on.IDLE] += ticks * census[IN_FLIGHT]
    m.spent[spent_on.EMPTY] += ticks * (server.max_num_seqs - census[IN_FLIGHT])


@inner
def consult(m: Memory, work: Work, costs: Costs, server: Server, edf: bool) -> None:
    """Pay the ramp, learn who is ready; if nobody would stay the pass ends here without a choice."""
    census, s = m.scalars, m.scalars[SEGMENT]
    spend(m, server, costs.ramp_fixed[s - 1] + costs.ramp_row[s - 1] * census[BATCH], spent_on.RAMP)
    ready = 0
    for depth in range(1, s + 1):
        ready += m.count[depth]
    census[EXITS] = ready
    census[PHASE] = AT_RAMP
    if ready == census[BATCH]:
        leave(m, work, costs, server, edf, False)


@inner
def leave(m: Memory, work: Work, costs: Costs, server: Server, edf: bool, everybody: bool) -> None:
    """SPLIT (ready rows leave, the others are parked) or, if `everybody`, EXIT_ALL."""
    census, s, size = m.scalars, m.scalars[SEGMENT], m.scalars[BATCH]
    ready = 0
    for depth in range(1, s + 1):
        ready += m.count[depth]
    parked = 0 if everybody else size - ready
    if everybody:
        census[INVOLUNTARY_EXITS] += size - ready
    fill(m, costs, server, size - parked)
    for j in range(size):
        row = m.batch[j]
        if everybody or m.rows[DEPTH, row] <= s:
            emit(m, work, edf, row, s)
        else:
            enter_pool(m, work, edf, s + 1, row, census[NOW])
    if parked > 0:
        census[SPLITS] += 1
        census[BUSY] += costs.rebatch
        m.spent[spent_on.OVERHEAD] += costs.rebatch * parked
        advance(m, server, costs.rebatch, parked, 0)
    rest(m)


@inner
def stay(m: Memory, stamp: bool) -> None:
    """CONTINUE: ready rows stay and are latched; if `stamp`, RELEASE: their tokens are out now."""
    census, s = m.scalars, m.scalars[SEGMENT]
    for j in range(census[BATCH]):
        row = m.batch[j]
        if m.rows[DEPTH, row] > s:
            continue
        if m.rows[LATCHED, row] == 0:
            m.rows[LATCHED, row] = s
            census[NUM_LATCHED] += 1
        if not stamp:
            census[INVOLUNTARY_STAYS] += 1
        elif m.rows[STAMPED, row] == NONE:
            m.rows[STAMPED, row] = census[NOW]


@inner
def apply(m: Memory, work: Work, costs: Costs, server: Server, edf: bool, kind: int, pool: int, limit: int,
          prefill_possible: bool) -> None:
    """Carry out one choice; `limit` rows at most in a RUN."""
    if kind == DO_RUN:
        run(m, work, costs, server, edf, pool, min(limit, m.tail[pool - 1] - m.head[pool - 1]))
    elif kind == DO_PREFILL:
        prefill(m, work, costs, server, edf)
    elif kind == DO_IDLE:
        idle(m, work, server, prefill_possible)
    elif kind == DO_CONSULT:
        consult(m, work, costs, server, edf)
    elif kind == DO_SPLIT:
        leave(m, work, costs, server, edf, False)
    elif kind == DO_EXIT_ALL:
        leave(m, work, costs, server, edf, True)
    elif kind in (DO_JOIN, DO_APART):
        if kind == DO_JOIN:
            size = m.tail[pool - 1] - m.head[pool - 1]
            take_first(m, work, pool, min(size, server.batch_max - m.scalars[BATCH]))
        next_segment(m, work, costs, server, edf)
    else:
        if kind == DO_SKIP:
            m.scalars[EXITS] = 0
        elif kind in (DO_CONTINUE, DO_RELEASE):
            stay(m, kind == DO_RELEASE)
        go_on(m, work, costs, server, edf)
