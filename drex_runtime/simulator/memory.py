"""The arrays a compiled run lives in: inputs (`Work`, `Costs`, `Server`) and the state in motion (`Memory`).

Plain int64 arrays in named tuples, so that one numba kernel takes them as they are. A *packed* state is the
scheduling `State` as two arrays: rows [PACKED_FIELDS, n] and scalars [PACKED_SCALARS + K + 1] (ages last).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from drex_runtime.policies.observation import POOL_BASE, POOL_WIDTH
from drex_runtime.policies.program import MAX_STACK
from drex_runtime.scheduling.state import Kind, Phase, Place

Int = npt.NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

# Per request. The first PACKED_FIELDS are those of State; DEPTH (of the next token, or the ramp where it was
# latched) and DUE (of the next token) follow from them.
PLACE, EMITTED, PREFILLED, ENTERED, LATCHED, STAMPED, COMPLETED, LAST, DEPTH, DUE = range(10)
PACKED_FIELDS, NUM_FIELDS = 8, 10

# Scalars. The first PACKED_SCALARS are those of State.
NOW, PHASE, SEGMENT, EXITS, DECODES, STREAK = range(6)
PACKED_SCALARS = 6
# Census: arrived requests, requests without a place, places held, partly prefilled rows, requests not complete,
# rows of the running batch, their context, those of them latched, rows in pools s >= 2, first zero-prompt and
# first prompted request that may still lack a place or part of its prompt.
ARRIVED, UNPLACED, IN_FLIGHT, PARTIAL, LEFT = range(6, 11)
BATCH, CONTEXT, NUM_LATCHED, BUFFERED, NEXT_BARE, NEXT_PROMPTED = range(11, 17)
# Results, and why a run stopped.
LAUNCHES, SPLITS, INVOLUNTARY_EXITS, INVOLUNTARY_STAYS, BUSY, ROW_SEGMENTS = range(17, 23)
CHOICES, LAUNCHED, LAUNCHED_ROWS = 23, 24, 25
STATUS, RULE = 26, 27
NUM_SCALARS = 28
FINE, IDLES_FOR_EVER, CLOCK_PASSED, TOO_MANY_CHOICES, SUM_PASSED = range(5)

# The enumerations of the scheduling state as plain integers.
DECIDE, AT_CONSULT, AT_RAMP, AT_JOIN, END = (int(phase) for phase in Phase)
WAITING_PLACE, RUNNING = int(Place.WAITING), int(Place.RUNNING)
DONE, PREFILLING = int(Place.DONE), int(Place.PREFILLING)
DO_PREFILL, DO_RUN, DO_IDLE, DO_CONSULT, DO_SKIP, DO_SPLIT, DO_CONTINUE, DO_EXIT_ALL, DO_RELEASE, DO_JOIN, DO_APART = (
    int(kind) for kind in Kind)
NONE = -1  # no due date, no limit, not yet


class Work(NamedTuple):
    """A workload. depths of request i: depths[offset[i]:offset[i + 1]]; due, ttft, tpot: NONE if absent.

    `bare` and `prompted` list the requests without and with a prompt, in order.
    """

    arrival: Int
    identity: Int
    prompt: Int
    offset: Int
    depths: Int
    due: Int
    ttft: Int
    tpot: Int
    bare: Int
    prompted: Int
    has_dues: bool


class Costs(NamedTuple):
    """A profile. fixed[s - 1, bucket], start[s - 1] (0 for s = 1), ramps by r - 1."""

    buckets: Int
    fixed: Int
    per_row: Int
    per_context: Int
    ramp_fixed: Int
    ramp_row: Int
    start: Int
    rebatch: int
    fill_fixed: int
    fill_row: int
    prefill_fixed: int
    prefill_token: int
    prefill_pair: int


class Server(NamedTuple):
    """Resources; NONE for no limit. `max_choices`: after so many choices a run is given up."""

    batch_max: int
    max_num_seqs: int
    prefill_tokens: int
    idle_max: int
    max_choices: int


class Memory(NamedTuple):
    """A state in motion. Pool s holds pool[s - 1, head[s - 1]:tail[s - 1]] in order; the pass batch[:BATCH].

    `count[d]`: rows of the pass whose token has depth d. `spent`: place-time by category (see `accounting`).
    `token_times`, `token_depths`: flat by request, empty if not kept.
    """

    rows: Int
    scalars: Int
    spent: Int
    ages: Int
    batch: Int
    count: Int
    pool: Int
    head: Int
    tail: Int
    observed: Int
    stack: Int
    token_times: Int
    token_depths: Int


def inner(function: Function) -> Function:
    """Compile a part of the kernel. Not cached by itself: only entries are, under the sources' fingerprint."""
    return cast(Function, numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)(function))


def new_memory(work: Work, costs: Costs, server: Server, num_categories: int, *, keep_tokens: bool = False) -> Memory:
    """Memory for runs of `work`; `load` or `copy` set its contents. Made here: the kernel allocates nothing."""
    n, segments = len(work.arrival), len(costs.start)
    places = min(n, server.max_num_seqs)
    tokens = len(work.depths) if keep_tokens else 0
    return Memory(
        np.zeros((NUM_FIELDS, n), np.int64), np.zeros(NUM_SCALARS, np.int64), np.zeros(num_categories, np.int64),
        np.zeros(segments, np.int64), np.zeros(places, np.int64), np.zeros(segments + 1, np.int64),
        np.zeros((segments, 2 * places), np.int64), np.zeros(segments, np.int64), np.zeros(segments, np.int64),
        np.zeros(POOL_BASE + POOL_WIDTH * segments, np.int64), np.zeros(MAX_STACK, np.int64),
        np.full(tokens, NONE, np.int64), np.zeros(tokens, np.int64))


@inner
def next_due(work: Work, row: int, emitted: int, last: int) -> int:
    """As scheduling.pools.next_token_due, NONE if there is none."""
    due, ttft, tpot, arrival = work.due[row], work.ttft[row], work.tpot[row], work.arrival[row]
    if ttft != NONE or tpot != NONE:
        if tpot == NONE:
            return NONE if emitted > 0 else arrival + ttft
        if ttft == NONE:
            return arrival + (emitted + 1) * tpot
        return arrival + ttft + emitted * tpot
    if due == NONE:
        return NONE
    return last + (due - last) // (work.offset[row + 1] - work.offset[row] - emitted)


@inner
def enter_pool(m: Memory, work: Work, edf: bool, pool: int, row: int, entered: int) -> None:
    """Row enters pool s; its EMITTED, LAST are set. Pools are sorted by (due,) entry time, id."""
    fields, s = m.rows, pool - 1
    fields[PLACE, row], fields[ENTERED, row] = pool, entered
    due = NONE
    if work.has_dues:
        due = next_due(work, row, fields[EMITTED, row], fields[LAST, row])
    fields[DUE, row] = due
    if pool >= 2:
        m.scalars[BUFFERED] += 1
    if m.tail[s] == m.pool.shape[1]:
        size = m.tail[s] - m.head[s]
        for j in range(size):
            m.pool[s, j] = m.pool[s, m.head[s] + j]
        m.head[s], m.tail[s] = 0, size
    at = m.tail[s]
    while at > m.head[s]:
        other = m.pool[s, at - 1]
        if edf and fields[DUE, other] != due:
            # NONE sorts after every due date
            if fields[DUE, other] != NONE and (due == NONE or fields[DUE, other] < due):
                break
        elif fields[ENTERED, other] < entered or (
                fields[ENTERED, other] == entered and work.identity[other] < work.identity[row]):
            break
        m.pool[s, at] = other
        at -= 1
    m.pool[s, at] = row
    m.tail[s] += 1


@inner
def take_first(m: Memory, work: Work, pool: int, count: int) -> None:
    """The first `count` rows of pool s are appended to the batch."""
    s, at = pool - 1, m.scalars[BATCH]
    for j in range(count):
        row = m.pool[s, m.head[s] + j]
        m.batch[at + j] = row
        board(m, work, row)
    m.head[s] += count
    if m.head[s] == m.tail[s]:
        m.head[s], m.tail[s] = 0, 0
    if pool >= 2:
        m.scalars[BUFFERED] -= count
    m.scalars[BATCH] += count


@inner
def board(m: Memory, work: Work, row: int) -> None:
    """Count a row that is in the batch."""
    m.rows[PLACE, row] = RUNNING
    m.scalars[CONTEXT] += work.prompt[row] + m.rows[EMITTED, row]
    m.count[m.rows[DEPTH, row]] += 1


@inner
def empty_batch(m: Memory) -> None:
    """No pass is running."""
    m.scalars[BATCH], m.scalars[CONTEXT], m.scalars[NUM_LATCHED] = 0, 0, 0
    for depth in range(len(m.count)):
        m.count[depth] = 0


@inner
def load(m: Memory, work: Work, edf: bool, rows: Int, scalars: Int, index: int) -> None:
    """Set `m` to packed state `index`; results are counted from here. Token times before it are NONE."""
    n, fields, census = len(work.arrival), m.rows, m.scalars
    for field in range(PACKED_FIELDS):
        for row in range(n):
            fields[field, row] = rows[index, field, row]
    for j in range(NUM_SCALARS):
        census[j] = scalars[index, j] if j < PACKED_SCALARS else 0
    for s in range(len(m.ages)):
        m.ages[s], m.head[s], m.tail[s] = scalars[index, PACKED_SCALARS + s], 0, 0
    for j in range(len(m.spent)):
        m.spent[j] = 0
    for j in range(len(m.token_times)):
        m.token_times[j], m.token_depths[j] = NONE, 0
    empty_batch(m)
    for row in range(n):
        place, emitted = fields[PLACE, row], fields[EMITTED, row]
        if place == DONE:
            continue
        census[LEFT] += 1
        depth = work.depths[work.offset[row] + emitted]
        if fields[LATCHED, row] > 0:
            depth = min(depth, fields[LATCHED, row])
        fields[DEPTH, row] = depth
        if place == WAITING_PLACE:
            census[UNPLACED] += 1
            continue
        census[IN_FLIGHT] += 1
        if place == PREFILLING:
            census[PARTIAL] += 1
        elif place == RUNNING:
            m.batch[census[BATCH]] = row
            census[BATCH] += 1
            census[NUM_LATCHED] += fields[LATCHED, row] > 0
            board(m, work, row)
        else:
            enter_pool(m, work, edf, place, row, fields[ENTERED, row])


@inner
def copy(m: Memory, source: Memory, work: Work, same_order: bool, edf: bool) -> None:
    """Set `m` to the state of `source` (not its results); pools are sorted anew unless both keep the same order."""
    for field in range(NUM_FIELDS):
        for row in range(len(work.arrival)):
            m.rows[field, row] = source.rows[field, row]
    for j in range(NUM_SCALARS):
        m.scalars[j] = source.scalars[j] if j < LAUNCHES else 0
    for depth in range(len(m.count)):
        m.count[depth] = source.count[depth]
    for j in range(source.scalars[BATCH]):
        m.batch[j] = source.batch[j]
    if not same_order:
        m.scalars[BUFFERED] = 0
    for s in range(len(m.head)):
        m.ages[s], m.head[s], m.tail[s] = source.ages[s], 0, 0
        for j in range(source.tail[s] - source.head[s]):
            row = source.pool[s, source.head[s] + j]
            if same_order:
                m.pool[s, j] = row
                m.tail[s] += 1
            else:
                enter_pool(m, work, edf, s + 1, row, m.rows[ENTERED, row])


@inner
def pack(m: Memory, rows: Int, scalars: Int, index: int) -> None:
    """Write the packed state of `m` at `index` (before admissions if at DECIDE)."""
    for field in range(PACKED_FIELDS):
        for row in range(rows.shape[2]):
            rows[index, field, row] = m.rows[field, row]
    for j in range(PACKED_SCALARS):
        scalars[index, j] = m.scalars[j]
    for s in range(len(m.ages)):
        scalars[index, PACKED_SCALARS + s] = m.ages[s]
