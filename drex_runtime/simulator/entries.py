"""The entry of the compiled simulator: runs, costs-to-go, the values of a reference policy along a run.

Only the entry is cached on disk. Numba notices a change of the file a cached function stands in, not of the files
its callees stand in; so the entry closes over a fingerprint of all these sources, which is part of its cache key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numba

from drex_runtime.policies import observation, program
from drex_runtime.records import ticks
from drex_runtime.scheduling import recent, state
from drex_runtime.simulator import accounting, interpreter, kernel
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.interpreter import BATCH_LIMIT, IS_EDF, USES_OLDEST, USES_SLACK, choose, look
from drex_runtime.simulator.kernel import apply
from drex_runtime.simulator.memory import Int, copy, inner, load, pack

TRACE_COLUMNS = ("now", "phase", "segment", "kind", "pool", "rule", "rows")
MAKESPAN, TOTAL_COMPLETION, MISSES = range(3)
MAX_SUM = 2**62


class Trace(NamedTuple):
    """What a recorded run writes; arrays of length 0 if it is not recorded.

    choices[c] as TRACE_COLUMNS, views[c] padded with 0; launch l: launches[l] = (start, kind, pool, rule) with the
    rows launch_rows[launch_offset[l]:launch_offset[l + 1]].
    """

    choices: Int
    views: Int
    launches: Int
    launch_offset: Int
    launch_rows: Int


class Captured(NamedTuple):
    """Packed states at the choice points `at` (ascending): rows[i], scalars[i]."""

    at: Int
    rows: Int
    scalars: Int


class Packed(NamedTuple):
    """Packed states to begin from: rows [m, PACKED_FIELDS, n], scalars [m, as `memory` lays them out]."""

    rows: Int
    scalars: Int


class Asked(NamedTuple):
    """What values are asked for, and where they go (see `run`). every = 0: no values along the run."""

    objective: int
    every: int
    known: Int
    values: Int
    outcome: Int


@inner
def perform(m: Int, w: Int, c: Int, p: Int, kind: int, pool: int, rule: int, prefill_possible: bool) -> None:
    """Carry out a choice of program `p` and count it."""
    apply(m, w, c, kind, pool, p[BATCH_LIMIT], prefill_possible)
    m[at.CHOICES] += 1
    if m[at.CHOICES] > c[at.MAX_CHOICES] and m[at.STATUS] == at.FINE:
        m[at.STATUS] = at.TOO_MANY_CHOICES
    if m[at.STATUS] != at.FINE:
        m[at.RULE] = rule


@inner
def objective_of(m: Int, w: Int, objective: int) -> int:
    """The objective of a finished run (0 if it failed); STATUS tells if the sum leaves 62 bits."""
    value = 0
    if m[at.STATUS] != at.FINE:
        return value
    for row in range(w[at.NUM]):
        r, completed = at.REQUESTS + at.REQUEST_WIDTH * row, m[at.ROWS + at.ROW_WIDTH * row + at.COMPLETED]
        if objective == MAKESPAN:
            value = max(value, int(completed))
        elif objective == TOTAL_COMPLETION:
            value += int(completed - w[r + at.ARRIVAL])
            if value > MAX_SUM:
                m[at.STATUS] = at.SUM_PASSED
                return value
        elif w[r + at.REQUEST_DUE] != at.NONE and completed > w[r + at.REQUEST_DUE]:
            value += 1
    return value


@inner
def finish(m: Int, w: Int, c: Int, p: Int, objective: int) -> int:
    """Let program `p` decide to the end and return the objective; STATUS says if that failed."""
    oldest, slack = p[USES_OLDEST] != 0, p[USES_SLACK] != 0
    while m[at.PHASE] != at.END and m[at.STATUS] == at.FINE:
        possible = look(m, w, c, oldest, slack)
        kind, pool, rule = choose(m, p, possible)
        perform(m, w, c, p, kind, pool, rule, possible)
    return objective_of(m, w, objective)


@inner
def chooses(m: Int, q: Int, prefill_possible: bool, p: Int, kind: int, pool: int) -> bool:
    """Whether program `q` is sure to make the same choice as `p`, with the same rows."""
    other_kind, other_pool, _ = choose(m, q, prefill_possible)
    if p[IS_EDF] != q[IS_EDF] or kind != other_kind or pool != other_pool:
        return False
    size = m[at.TAIL + pool] - m[at.HEAD + pool]
    return kind != at.DO_RUN or min(size, p[BATCH_LIMIT]) == min(size, q[BATCH_LIMIT])


@inner
def note(m: Int, w: Int, choices: Int, views: Int, kind: int, pool: int, rule: int) -> None:
    """Record the choice about to be made."""
    i = m[at.CHOICES]
    choices[i, 0], choices[i, 1], choices[i, 2] = m[at.NOW], m[at.PHASE], m[at.SEGMENT]
    choices[i, 3], choices[i, 4], choices[i, 5], choices[i, 6] = kind, pool, rule, m[at.BATCH]
    width = len(observation.RAMP_NAMES)
    if m[at.PHASE] == at.DECIDE:
        width = observation.POOL_BASE + observation.POOL_WIDTH * w[at.NUM_SEGMENTS]
    for j in range(width):
        views[i, j] = m[at.VIEW + j]


@inner
def note_launch(m: Int, launches: Int, offset: Int, rows: Int, start: int, kind: int, pool: int, rule: int) -> None:
    """Record the launch that has just been made."""
    i, begin = m[at.LAUNCHES] - 1, offset[m[at.LAUNCHES] - 1]
    launches[i, 0], launches[i, 1], launches[i, 2], launches[i, 3] = start, kind, pool, rule
    for j in range(m[at.LAUNCHED]):
        rows[begin + j] = m[m[at.POOLS_AT] + j]
    offset[i + 1] = begin + m[at.LAUNCHED]


def _fingerprint() -> str:
    modules = (accounting, interpreter, kernel, at, observation, program, recent, state, ticks)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _entry(fingerprint: str) -> Callable[..., None]:
    def run(p: Int, w: Int, c: Int, states: Packed, m: Int, trace: Trace, captured: Captured, q: Int, other: Int,
            asked: Asked) -> None:
        """Run program `p` from each packed state to its end, or to the first that fails (asked.outcome[0], else -1).

        If there is one state: `trace` and `captured` are filled, and for asked.every > 0 the values of program `q`
        along the run: asked.known[c] = 1 and asked.values[c] = what it reaches from choice point c. Where both choose
        alike the value carries over unchanged, so it is evaluated after differences only, of these at choice points
        divisible by `every`; the last value is that of the run itself. If `q` fails, outcome[1] is the choice
        point, else -1; outcome[2] counts its runs. Else asked.values[i] is the objective of the run from state i.
        """
        outcome, every = asked.outcome, asked.every
        outcome[0], outcome[1], outcome[2] = -1, -1, 0 * len(fingerprint)
        recording, valuing = len(trace.choices) > 0, every > 0
        whole = recording or len(captured.at) > 0
        oldest = whole or p[USES_OLDEST] != 0 or (valuing and q[USES_OLDEST] != 0)
        slack = whole or p[USES_SLACK] != 0 or (valuing and q[USES_SLACK] != 0)
        for i in range(len(states.rows)):
            load(m, w, p[IS_EDF], states.rows, states.scalars, i)
            taken, valid, value = at.ZERO, False, at.ZERO
            while m[at.PHASE] != at.END and m[at.STATUS] == at.FINE:
                point, start = m[at.CHOICES], m[at.NOW]
                while taken < len(captured.at) and captured.at[taken] == point:
                    pack(m, w, captured.rows, captured.scalars, taken)
                    taken += 1
                if valuing and not valid and point % every == 0:
                    copy(other, m, w, q[IS_EDF])
                    value = finish(other, w, c, q, asked.objective)
                    if other[at.STATUS] != at.FINE:
                        outcome[1] = point
                        return
                    outcome[2] += 1
                    valid = True
                if valid:
                    asked.known[point], asked.values[point] = 1, value
                possible = look(m, w, c, oldest, slack)
                kind, pool, rule = choose(m, p, possible)
                if valid:
                    valid = chooses(m, q, possible, p, kind, pool)
                if recording:
                    note(m, w, trace.choices, trace.views, kind, pool, rule)
                perform(m, w, c, p, kind, pool, rule, possible)
                if recording and (kind in (at.DO_RUN, at.DO_PREFILL)):
                    note_launch(m, trace.launches, trace.launch_offset, trace.launch_rows, start, kind, pool, rule)
            value = objective_of(m, w, asked.objective)
            if m[at.STATUS] != at.FINE:
                outcome[0] = i
                return
            if valuing:
                asked.known[m[at.CHOICES]] = 1
            asked.values[m[at.CHOICES] if valuing else i] = value

    options: dict[str, Any] = {**at.KERNEL, "cache": True}
    return cast(Callable[..., None], numba.njit(**options)(run))


FINGERPRINT = _fingerprint()  # for other entries into these kernels
run = _entry(FINGERPRINT)
