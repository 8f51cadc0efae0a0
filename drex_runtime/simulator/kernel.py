"""The mechanics of the scheduling model for numba: the twin of `simulator.mechanics`, choice by choice.

Integers and their order are the same; tests compare the two to the tick. Source: scheduling model, section
Decisions. Arrays and cells: `simulator.memory`. Rows of a pass are unordered: nothing depends on their order.
"""

from __future__ import annotations

from drex_runtime.policies.observation import MAX_AGE, WINDOW
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.simulator import accounting as spent
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.memory import Int, empty_batch, enter_pool, inner, take_first


@inner
def advance(m: Int, c: Int, ticks: int, parked: int, prefilling: int) -> None:
    """The clock moves on; `parked` rows of the buffers and `prefilling` requests are accounted by the caller."""
    m[at.NOW] += ticks
    if m[at.NOW] > MAX_TIME:
        m[at.STATUS] = at.CLOCK_PASSED
    m[at.SPENT + spent.BUFFERED] += ticks * (m[at.BUFFERED] - parked)
    m[at.SPENT + spent.WAITING] += ticks * (m[at.TAIL + 1] - m[at.HEAD + 1] + m[at.PARTIAL] - prefilling)
    m[at.SPENT + spent.EMPTY] += ticks * (c[at.PLACES] - m[at.IN_FLIGHT])


@inner
def spend(m: Int, c: Int, ticks: int, category: int) -> None:
    """The device works `ticks` for the running pass."""
    m[at.BUSY] += ticks
    m[at.SPENT + category] += ticks * m[at.BATCH]
    advance(m, c, ticks, at.ZERO, at.ZERO)


@inner
def emit(m: Int, w: Int, row: int, segment: int) -> None:
    """The next token of `row` is out; it completes or enters pool 1 now."""
    i, r, when = at.ROWS + at.ROW_WIDTH * row, at.REQUESTS + at.REQUEST_WIDTH * row, m[at.NOW]
    emitted, tokens, depth = m[i + at.EMITTED], w[r + at.TOKENS], segment
    if m[i + at.LATCHED] > 0:
        depth = m[i + at.LATCHED]
        if m[i + at.STAMPED] != at.NONE:
            when = m[i + at.STAMPED]
        m[i + at.LATCHED], m[i + at.STAMPED] = 0, at.NONE
    if m[at.TOKENS_AT] != at.NONE:
        first = at.REQUESTS + at.REQUEST_WIDTH * w[at.NUM]
        token = m[at.TOKENS_AT] + tokens - first + emitted
        m[token], m[token + len(w) - first] = when, depth
    emitted += 1
    m[i + at.EMITTED], m[i + at.LAST] = emitted, when
    if emitted == w[r + at.OUTPUTS]:
        m[i + at.PLACE], m[i + at.COMPLETED] = at.DONE, when
        m[at.LEFT] -= 1
        m[at.IN_FLIGHT] -= 1
    else:
        m[i + at.DEPTH] = w[tokens + emitted]
        enter_pool(m, w, at.ONE, row, m[at.NOW])


@inner
def rest(m: Int, w: Int) -> None:
    """The device is free."""
    empty_batch(m, w[at.NUM_SEGMENTS])
    m[at.SEGMENT], m[at.EXITS] = 0, 0
    m[at.PHASE] = at.END if m[at.LEFT] == 0 else at.DECIDE


@inner
def run_segment(m: Int, w: Int, c: Int) -> None:
    """The batch passes its segment; the last one ends the pass."""
    s, rows, buckets, bucket = m[at.SEGMENT], m[at.BATCH], c[at.NUM_BUCKETS], 0
    while c[at.BUCKETS + bucket] < rows:
        bucket += 1
    ticks = (c[at.BUCKETS + buckets * s + bucket] + c[at.SEGMENT_ROW + s] * rows
             + c[at.SEGMENT_CONTEXT + s] * m[at.CONTEXT])
    over = 0
    for depth in range(1, s):
        over += m[at.COUNT + depth]
    m[at.BUSY] += ticks
    m[at.ROW_SEGMENTS] += rows
    m[at.SPENT + spent.COMPUTE] += ticks * (rows - over)
    m[at.SPENT + spent.STAY] += ticks * m[at.NUM_LATCHED]
    m[at.SPENT + spent.UNSEEN] += ticks * (over - m[at.NUM_LATCHED])
    advance(m, c, ticks, at.ZERO, at.ZERO)
    if s < w[at.NUM_SEGMENTS]:
        m[at.PHASE] = at.AT_CONSULT
    else:
        leave(m, w, c, m[at.NUM_LATCHED], at.ZERO)


@inner
def leave(m: Int, w: Int, c: Int, early: int, parked: int) -> None:
    """The pass ends: rows emit and `early` of them pay the fill; if `parked`, rows not ready enter the next pool."""
    s, rows, batch = m[at.SEGMENT], m[at.BATCH], m[at.POOLS_AT]
    if early > 0:
        spend(m, c, c[at.FILL_FIXED] + c[at.FILL_ROW] * early, spent.FILL)
    for j in range(rows):
        row = m[batch + j]
        if parked > 0 and m[at.ROWS + at.ROW_WIDTH * row + at.DEPTH] > s:
            enter_pool(m, w, s + 1, row, m[at.NOW])
        else:
            emit(m, w, row, s)
    if parked > 0:
        m[at.SPLITS] += 1
        m[at.BUSY] += c[at.REBATCH]
        m[at.SPENT + spent.OVERHEAD] += c[at.REBATCH] * parked
        advance(m, c, c[at.REBATCH], parked, at.ZERO)
    rest(m, w)


@inner
def launched(m: Int, rows: int) -> None:
    """A launch with `rows` rows begins."""
    m[at.LAUNCHES] += 1
    m[at.LAUNCHED] = rows
    m[at.LAUNCHED_ROWS] += rows
    m[at.STREAK] = 0


@inner
def prefill(m: Int, w: Int, c: Int) -> None:
    """PREFILL; its rows lie where those of a batch would."""
    batch, budget, rows, tokens, pairs = m[at.POOLS_AT], c[at.PREFILL_TOKENS], at.ZERO, at.ZERO, at.ZERO
    row = m[at.NEXT_PROMPTED]
    while row < m[at.ARRIVED] and budget != 0:
        i, r = at.ROWS + at.ROW_WIDTH * row, at.REQUESTS + at.REQUEST_WIDTH * row
        if m[i + at.PLACE] == at.WAITING:
            if m[at.IN_FLIGHT] >= c[at.PLACES]:
                break
            m[i + at.PLACE] = at.PREFILLING
            m[at.IN_FLIGHT] += 1
            m[at.UNPLACED] -= 1
            m[at.PARTIAL] += 1
        if m[i + at.PLACE] == at.PREFILLING:
            chunk = w[r + at.PROMPT] - m[i + at.PREFILLED]
            if budget != at.NONE:
                chunk = min(chunk, budget)
                budget -= chunk
            tokens += chunk
            pairs += chunk * m[i + at.PREFILLED]
            m[i + at.PREFILLED] += chunk
            m[batch + rows] = row
            rows += 1
        row = w[r + at.FOLLOWING]
    launched(m, rows)
    m[at.DECODES] = 0
    ticks = c[at.PREFILL_FIXED] + c[at.PREFILL_TOKEN] * tokens + c[at.PREFILL_PAIR] * pairs
    m[at.BUSY] += ticks
    m[at.SPENT + spent.PREFILL] += ticks * rows
    advance(m, c, ticks, at.ZERO, rows)
    for j in range(rows):
        row = m[batch + j]
        if m[at.ROWS + at.ROW_WIDTH * row + at.PREFILLED] == w[at.REQUESTS + at.REQUEST_WIDTH * row + at.PROMPT]:
            m[at.PARTIAL] -= 1
            emit(m, w, row, w[at.NUM_SEGMENTS])
    rest(m, w)


@inner
def idle(m: Int, w: Int, c: Int, prefill_possible: bool) -> None:
    """IDLE until the next arrival, at most idle_max."""
    longest = c[at.IDLE_MAX]
    if m[at.ARRIVED] == w[at.NUM]:
        if prefill_possible or m[at.BUFFERED] > 0 or m[at.TAIL + 1] > m[at.HEAD + 1]:
            m[at.STREAK] += 1
        if longest == at.NONE or m[at.STREAK] >= 2:
            m[at.STATUS] = at.IDLES_FOR_EVER
            return
        ticks = longest
    else:
        m[at.STREAK] = 0
        ticks = w[at.REQUESTS + at.REQUEST_WIDTH * m[at.ARRIVED] + at.ARRIVAL] - m[at.NOW]
        if longest != at.NONE:
            ticks = min(ticks, longest)
    m[at.NOW] += ticks
    if m[at.NOW] > MAX_TIME:
        m[at.STATUS] = at.CLOCK_PASSED
    m[at.SPENT + spent.IDLE] += ticks * m[at.IN_FLIGHT]
    m[at.SPENT + spent.EMPTY] += ticks * (c[at.PLACES] - m[at.IN_FLIGHT])


@inner
def num_ready(m: Int) -> int:
    """Rows of the batch that may leave at its ramp (latched rows have a depth of at most their ramp)."""
    ready = 0
    for depth in range(1, m[at.SEGMENT] + 1):
        ready += m[at.COUNT + depth]
    return ready


@inner
def stay(m: Int, stamp: bool) -> None:
    """CONTINUE: ready rows stay and are latched; if `stamp`, RELEASE: their tokens are out now."""
    s = m[at.SEGMENT]
    for j in range(m[at.BATCH]):
        i = at.ROWS + at.ROW_WIDTH * m[m[at.POOLS_AT] + j]
        if m[i + at.DEPTH] > s:
            continue
        if m[i + at.LATCHED] == 0:
            m[i + at.LATCHED] = s
            m[at.NUM_LATCHED] += 1
        if not stamp:
            m[at.INVOLUNTARY_STAYS] += 1
        elif m[i + at.STAMPED] == at.NONE:
            m[i + at.STAMPED] = m[at.NOW]


@inner
def choose_in_pass(m: Int, w: Int, c: Int, kind: int) -> None:
    """Carry out a choice at CONSULT, RAMP or JOIN."""
    s, going = m[at.SEGMENT], False
    if kind == at.DO_CONSULT:
        spend(m, c, c[at.RAMP_FIXED + s] + c[at.RAMP_ROW + s] * m[at.BATCH], spent.RAMP)
        m[at.EXITS] = num_ready(m)
        m[at.PHASE] = at.AT_RAMP
        i = at.RECENT + at.RECENT_FIELDS * s
        m[i], m[i + 1], m[i + 2] = m[i] + 1, m[i + 1] + m[at.BATCH], m[i + 2] + m[at.EXITS]
        m[i + 3], m[i + 4] = m[i + 3] + (1 if m[at.EXITS] == m[at.BATCH] else 0), 0
        if m[i] >= WINDOW:
            for j in range(i, i + 4):
                m[j] = m[j] // 2
    if kind == at.DO_SPLIT or (kind == at.DO_CONSULT and m[at.EXITS] == m[at.BATCH]):
        # SPLIT; or nobody would stay, then the pass ends without a choice
        ready = num_ready(m)
        leave(m, w, c, ready, m[at.BATCH] - ready)
    elif kind == at.DO_EXIT_ALL:
        m[at.INVOLUNTARY_EXITS] += m[at.BATCH] - num_ready(m)
        leave(m, w, c, m[at.BATCH], at.ZERO)
    elif kind == at.DO_JOIN:
        take_first(m, w, s + 1, min(m[at.TAIL + s + 1] - m[at.HEAD + s + 1], c[at.BATCH_MAX] - m[at.BATCH]))
        going = True
    elif kind == at.DO_APART:
        going = True
    elif kind != at.DO_CONSULT:
        if kind == at.DO_SKIP:
            m[at.EXITS] = 0
            unseen = at.RECENT + at.RECENT_FIELDS * s + 4
            m[unseen] = min(m[unseen] + 1, MAX_AGE)
        else:
            stay(m, kind == at.DO_RELEASE)
        going = m[at.TAIL + s + 1] == m[at.HEAD + s + 1] or m[at.BATCH] >= c[at.BATCH_MAX]
        if not going:
            m[at.PHASE] = at.AT_JOIN
    if going:
        m[at.SEGMENT], m[at.EXITS] = s + 1, 0
        run_segment(m, w, c)


@inner
def apply(m: Int, w: Int, c: Int, kind: int, pool: int, limit: int, prefill_possible: bool) -> None:
    """Carry out one choice; `limit` rows at most in a RUN."""
    if kind == at.DO_RUN:
        rows = min(limit, m[at.TAIL + pool] - m[at.HEAD + pool])
        launched(m, rows)
        if pool == 1:
            m[at.DECODES] += 1
        take_first(m, w, pool, rows)
        m[at.AGES + pool] = 0
        m[at.SEGMENT], m[at.EXITS] = pool, 0
        if pool >= 2:
            spend(m, c, c[at.START + pool], spent.OVERHEAD)
        run_segment(m, w, c)
    elif kind == at.DO_PREFILL:
        prefill(m, w, c)
    elif kind == at.DO_IDLE:
        idle(m, w, c, prefill_possible)
    else:
        choose_in_pass(m, w, c, kind)
