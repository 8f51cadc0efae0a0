"""The arrays a compiled run lives in, and how a state gets in and out of them.

A kernel is compiled quickly and called cheaply only if few arrays are passed around, so there are four, all flat
int64: `m` memory (the state in motion), `w` workload, `c` costs and server, `p` program. This module names their
cells: `m[NOW]`; `m[i + PLACE]` with i = ROWS + ROW_WIDTH * row; `w[r + ARRIVAL]` with r = REQUESTS +
REQUEST_WIDTH * row; `c[START + s]`. Pool s >= 1 holds the rows m[m[POOLS_AT] + s * m[CAPACITY] + j] in order,
j from m[HEAD + s] to m[TAIL + s] - 1; pool 0 is the running batch, j < m[BATCH].

A *packed* state is the scheduling `State` as two arrays: rows [PACKED_FIELDS, n] and scalars
[PACKED_SCALARS + K + 1 + RECENT_FIELDS * K] (ages, then the ramps' statistics).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from drex_runtime.scheduling.recent import FIELDS
from drex_runtime.scheduling.state import Kind, Phase, Place

Int = npt.NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

# ---- m: scalars of State (packed), then the census that follows from it ------------------------------------------
NOW, PHASE, SEGMENT, EXITS, DECODES, STREAK = range(6)
PACKED_SCALARS = 6
# arrived requests, requests without a place, places held, half prefilled requests, requests not complete
ARRIVED, UNPLACED, IN_FLIGHT, PARTIAL, LEFT = range(6, 11)
# rows of the batch, their context, those of them latched, rows in pools s >= 2, first zero-prompt and first prompted
# request that may still lack a place or part of its prompt
BATCH, CONTEXT, NUM_LATCHED, BUFFERED, NEXT_BARE, NEXT_PROMPTED = range(11, 17)
EDF, POOLS_AT, CAPACITY, TOKENS_AT = range(17, 21)  # pool order; where pools and tokens lie (NONE: tokens not kept)
# results since the start, and why the run stopped (STATUS) by which rule
LAUNCHES, SPLITS, INVOLUNTARY_EXITS, INVOLUNTARY_STAYS, BUSY, ROW_SEGMENTS = range(21, 27)
CHOICES, LAUNCHED, LAUNCHED_ROWS, STATUS, RULE = range(27, 32)
RESULTS_END = 32
FINE, IDLES_FOR_EVER, CLOCK_PASSED, TOO_MANY_CHOICES, SUM_PASSED = range(5)
SPENT = 32  # place-time by category of `accounting`
# By segment or depth 1..64: ages, rows of the batch by depth of their token, pools' first and last + 1 position
MAX_SEGMENTS = 64
AGES, COUNT, HEAD, TAIL = (48 + (MAX_SEGMENTS + 1) * i for i in range(4))
RECENT_FIELDS = FIELDS  # `scheduling.recent`: those of ramp r begin at RECENT + RECENT_FIELDS * r
RECENT = TAIL + MAX_SEGMENTS + 1
VIEW = RECENT + RECENT_FIELDS * (MAX_SEGMENTS + 1)  # 7 + 4 * 64 values
STACK = VIEW + 264  # program.MAX_STACK values
ROWS = STACK + 64
# per request: those of State (packed), then the depth of the next token (or the ramp where it was latched), its due
PLACE, EMITTED, PREFILLED, ENTERED, LATCHED, STAMPED, COMPLETED, LAST, DEPTH, DUE = range(10)
PACKED_FIELDS, ROW_WIDTH = 8, 10

# ---- w: a workload -----------------------------------------------------------------------------------------------
NUM, NUM_SEGMENTS, HAS_DUES, FIRST_BARE, FIRST_PROMPTED, REQUESTS = range(6)
# TOKENS: index in w of the depth of its first token; FOLLOWING: next request that is also with/without a prompt
ARRIVAL, IDENTITY, PROMPT, TOKENS, OUTPUTS, REQUEST_DUE, TTFT, TPOT, FOLLOWING = range(9)
REQUEST_WIDTH = 9

# ---- c: costs and server -----------------------------------------------------------------------------------------
REBATCH, FILL_FIXED, FILL_ROW, PREFILL_FIXED, PREFILL_TOKEN, PREFILL_PAIR = range(6)
BATCH_MAX, PLACES, PREFILL_TOKENS, IDLE_MAX, MAX_CHOICES, NUM_BUCKETS = range(6, 12)
SEGMENT_ROW, SEGMENT_CONTEXT, START, RAMP_FIXED, RAMP_ROW = (12 + (MAX_SEGMENTS + 1) * i for i in range(5))
BUCKETS = RAMP_ROW + MAX_SEGMENTS + 1  # then fixed costs by segment and bucket

# ---- the enumerations of the scheduling state as plain integers --------------------------------------------------
DECIDE, AT_CONSULT, AT_RAMP, AT_JOIN, END = (int(phase) for phase in Phase)
WAITING, RUNNING, DONE = int(Place.WAITING), int(Place.RUNNING), int(Place.DONE)
PREFILLING = int(Place.PREFILLING)
DO_PREFILL, DO_RUN, DO_IDLE, DO_CONSULT, DO_SKIP, DO_SPLIT, DO_CONTINUE, DO_EXIT_ALL, DO_RELEASE, DO_JOIN, DO_APART = (
    int(kind) for kind in Kind)
NONE = -1  # no due date, no limit, not yet
# As arguments: plain 0 and 1 would be types of their own, compiled apart.
ZERO, ONE = cast(int, np.int64(0)), cast(int, np.int64(1))
# Without reference counts and wrappers for C the kernel compiles in a third of the time.
KERNEL: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True, "_nrt": False}
INNER: dict[str, Any] = {**KERNEL, "no_cpython_wrapper": True}


def inner(function: Function) -> Function:
    """Compile a part of the kernel: called from other parts only, allocates nothing (hence no reference counts).

    Not cached by itself: only the entry is, under the fingerprint of all sources.
    """
    return cast(Function, numba.njit(**INNER)(function))


def new_memory(w: Int, c: Int, *, keep_tokens: bool = False) -> Int:
    """Memory for runs of workload `w` on `c`; `load` or `copy` set its state."""
    n, segments = int(w[NUM]), int(w[NUM_SEGMENTS])
    capacity, tokens = 2 * min(n, int(c[PLACES])), len(w) - REQUESTS - REQUEST_WIDTH * n
    pools_at = ROWS + ROW_WIDTH * n
    tokens_at = pools_at + (segments + 1) * capacity
    m = np.zeros(tokens_at + 2 * tokens * keep_tokens, np.int64)
    m[POOLS_AT], m[CAPACITY], m[TOKENS_AT] = pools_at, capacity, tokens_at if keep_tokens else NONE
    m[tokens_at:tokens_at + tokens] = NONE
    return m


@inner
def next_due(w: Int, r: int, emitted: int, last: int) -> int:
    """As scheduling.pools.next_token_due of the request at w[r], NONE if there is none."""
    due, ttft, tpot, arrival = int(w[r + REQUEST_DUE]), int(w[r + TTFT]), int(w[r + TPOT]), int(w[r + ARRIVAL])
    if ttft != NONE or tpot != NONE:
        if tpot == NONE:
            return NONE if emitted > 0 else arrival + ttft
        if ttft == NONE:
            return arrival + (emitted + 1) * tpot
        return arrival + ttft + emitted * tpot
    if due == NONE:
        return NONE
    return last + (due - last) // (int(w[r + OUTPUTS]) - emitted)


@inner
def enter_pool(m: Int, w: Int, pool: int, row: int, entered: int) -> None:
    """Row enters pool s; its EMITTED and LAST are set. Pools are sorted by (due under edf, entry time, id)."""
    i, r, edf, due = ROWS + ROW_WIDTH * row, REQUESTS + REQUEST_WIDTH * row, m[EDF], NONE
    if w[HAS_DUES]:
        due = next_due(w, r, m[i + EMITTED], m[i + LAST])
    m[i + PLACE], m[i + ENTERED], m[i + DUE] = pool, entered, due
    if pool >= 2:
        m[BUFFERED] += 1
    base, first, at = m[POOLS_AT] + pool * m[CAPACITY], m[HEAD + pool], m[TAIL + pool]
    if at == m[CAPACITY]:
        at -= first
        for j in range(at):
            m[base + j] = m[base + first + j]
        first = 0
        m[HEAD + pool] = 0
    m[TAIL + pool] = at + 1
    while at > first:
        other = m[base + at - 1]
        o = ROWS + ROW_WIDTH * other
        if edf and m[o + DUE] != due:
            if m[o + DUE] != NONE and (due == NONE or m[o + DUE] < due):  # NONE sorts after every due date
                break
        elif m[o + ENTERED] < entered or (
                m[o + ENTERED] == entered and w[REQUESTS + REQUEST_WIDTH * other + IDENTITY] < w[r + IDENTITY]):
            break
        m[base + at] = other
        at -= 1
    m[base + at] = row


@inner
def take_first(m: Int, w: Int, pool: int, count: int) -> None:
    """The first `count` rows of pool s join the batch."""
    batch, first = m[POOLS_AT] + m[BATCH], m[POOLS_AT] + pool * m[CAPACITY] + m[HEAD + pool]
    for j in range(count):
        row = m[first + j]
        m[batch + j] = row
        board(m, w, row)
    m[HEAD + pool] += count
    if m[HEAD + pool] == m[TAIL + pool]:
        m[HEAD + pool], m[TAIL + pool] = 0, 0
    if pool >= 2:
        m[BUFFERED] -= count
    m[BATCH] += count


@inner
def board(m: Int, w: Int, row: int) -> None:
    """Count a row that is in the batch."""
    i = ROWS + ROW_WIDTH * row
    m[i + PLACE] = RUNNING
    m[CONTEXT] += w[REQUESTS + REQUEST_WIDTH * row + PROMPT] + m[i + EMITTED]
    m[COUNT + m[i + DEPTH]] += 1


@inner
def empty_batch(m: Int, segments: int) -> None:
    """No pass is running."""
    m[BATCH], m[CONTEXT], m[NUM_LATCHED] = 0, 0, 0
    for depth in range(1, segments + 1):
        m[COUNT + depth] = 0


@inner
def load(m: Int, w: Int, edf: int, rows: Int, scalars: Int, index: int) -> None:
    """Set `m` to packed state `index`; results are counted from here."""
    segments = w[NUM_SEGMENTS]
    for j in range(PACKED_SCALARS):
        m[j] = scalars[index, j]
    for j in range(PACKED_SCALARS, EDF):
        m[j] = 0
    for j in range(LAUNCHES, AGES):
        m[j] = 0
    m[EDF], m[NEXT_BARE], m[NEXT_PROMPTED] = edf, w[FIRST_BARE], w[FIRST_PROMPTED]
    for s in range(1, segments + 1):
        m[AGES + s], m[HEAD + s], m[TAIL + s] = scalars[index, PACKED_SCALARS + s - 1], 0, 0
    for j in range(RECENT_FIELDS * (segments - 1)):
        m[RECENT + RECENT_FIELDS + j] = scalars[index, PACKED_SCALARS + segments + j]
    empty_batch(m, segments)
    for row in range(w[NUM]):
        i = ROWS + ROW_WIDTH * row
        for field in range(PACKED_FIELDS):
            m[i + field] = rows[index, field, row]
        place = m[i + PLACE]
        if place == DONE:
            continue
        m[LEFT] += 1
        depth = w[w[REQUESTS + REQUEST_WIDTH * row + TOKENS] + m[i + EMITTED]]
        m[i + DEPTH] = min(depth, m[i + LATCHED]) if m[i + LATCHED] > 0 else depth
        if place == WAITING:
            m[UNPLACED] += 1
            continue
        m[IN_FLIGHT] += 1
        if place == PREFILLING:
            m[PARTIAL] += 1
        elif place == RUNNING:
            m[m[POOLS_AT] + m[BATCH]] = row
            m[BATCH] += 1
            m[NUM_LATCHED] += m[i + LATCHED] > 0
            board(m, w, row)
        else:
            enter_pool(m, w, place, row, m[i + ENTERED])


@inner
def copy(m: Int, source: Int, w: Int, edf: int) -> None:
    """Set `m` to the state of `source`, of the same size, without its results; pools in the order of `edf`."""
    segments = w[NUM_SEGMENTS]
    for j in range(EDF):
        m[j] = source[j]
    for j in range(LAUNCHES, AGES):
        m[j] = 0
    m[EDF] = edf
    for s in range(1, segments + 1):
        m[AGES + s], m[COUNT + s], m[HEAD + s], m[TAIL + s] = source[AGES + s], source[COUNT + s], 0, 0
    for j in range(RECENT + RECENT_FIELDS, RECENT + RECENT_FIELDS * segments):
        m[j] = source[j]
    for j in range(ROWS, ROWS + ROW_WIDTH * w[NUM]):
        m[j] = source[j]
    for j in range(source[BATCH]):
        m[m[POOLS_AT] + j] = source[source[POOLS_AT] + j]
    for s in range(1, segments + 1):
        base = m[POOLS_AT] + s * m[CAPACITY]
        size, first = source[TAIL + s] - source[HEAD + s], base + source[HEAD + s]
        if edf == source[EDF]:
            for j in range(size):
                m[base + j] = source[first + j]
            m[TAIL + s] = size
        else:
            m[BUFFERED] -= size if s >= 2 else 0
            for j in range(size):
                row = source[first + j]
                enter_pool(m, w, s, row, m[ROWS + ROW_WIDTH * row + ENTERED])


@inner
def pack(m: Int, w: Int, rows: Int, scalars: Int, index: int) -> None:
    """Write the packed state of `m` at `index` (before admissions if at DECIDE)."""
    for row in range(w[NUM]):
        for field in range(PACKED_FIELDS):
            rows[index, field, row] = m[ROWS + ROW_WIDTH * row + field]
        if rows[index, PLACE, row] < 1:
            rows[index, ENTERED, row] = 0
    for j in range(PACKED_SCALARS):
        scalars[index, j] = m[j]
    for s in range(w[NUM_SEGMENTS]):
        scalars[index, PACKED_SCALARS + s] = m[AGES + s + 1]
    for j in range(RECENT_FIELDS * (w[NUM_SEGMENTS] - 1)):
        scalars[index, PACKED_SCALARS + w[NUM_SEGMENTS] + j] = m[RECENT + RECENT_FIELDS + j]
