"""Entry points of the compiled simulator: one run, many costs-to-go, the values of a reference policy along a run.

Only entries are cached on disk. Numba notices a change of the file a cached function stands in, not of the files
its callees stand in; so every entry closes over a fingerprint of all these sources, which is part of its cache key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import numba

from drex_runtime.policies import observation, program
from drex_runtime.policies.program import Program
from drex_runtime.records import ticks
from drex_runtime.scheduling import state
from drex_runtime.simulator import accounting, interpreter, kernel, memory
from drex_runtime.simulator.interpreter import (
    can_prefill,
    choose,
    observe_decision,
    observe_ramp,
    prepare_decision,
)
from drex_runtime.simulator.kernel import apply
from drex_runtime.simulator.memory import (
    BATCH,
    CHOICES,
    COMPLETED,
    DECIDE,
    DO_PREFILL,
    DO_RUN,
    END,
    FINE,
    LAUNCHED,
    NONE,
    NOW,
    PHASE,
    RULE,
    SEGMENT,
    STATUS,
    SUM_PASSED,
    TOO_MANY_CHOICES,
    Costs,
    Int,
    Memory,
    Server,
    Work,
    copy,
    inner,
    load,
    pack,
)

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
    """Packed states to begin from: rows [m, PACKED_FIELDS, n], scalars [m, PACKED_SCALARS + K + 1]."""

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
def look(m: Memory, work: Work, server: Server, edf: bool, oldest: bool, slack: bool) -> bool:
    """Bring the view of this choice point into place; True if a PREFILL is possible here."""
    if m.scalars[PHASE] == DECIDE:
        prepare_decision(m, work, server, edf)
        observe_decision(m, work, server, oldest, slack)
        return can_prefill(m, work, server)
    observe_ramp(m, server)
    return False


@inner
def perform(m: Memory, work: Work, costs: Costs, server: Server, program: Program, kind: int, pool: int, rule: int,
            prefill_possible: bool) -> None:
    """Carry out a choice of `program` and count it."""
    census = m.scalars
    apply(m, work, costs, server, program.edf, kind, pool, program.batch_limit, prefill_possible)
    census[CHOICES] += 1
    if census[CHOICES] > server.max_choices and census[STATUS] == FINE:
        census[STATUS] = TOO_MANY_CHOICES
    if census[STATUS] != FINE:
        census[RULE] = rule


@inner
def objective_of(m: Memory, work: Work, objective: int) -> int:
    """The objective of a finished run (0 if it failed); STATUS tells if the sum leaves 62 bits."""
    completed, value = m.rows[COMPLETED], 0
    if m.scalars[STATUS] != FINE:
        return value
    for row in range(len(work.arrival)):
        if objective == MAKESPAN:
            value = max(value, completed[row])
        elif objective == TOTAL_COMPLETION:
            value += completed[row] - work.arrival[row]
            if value > MAX_SUM:
                m.scalars[STATUS] = SUM_PASSED
                return value
        elif work.due[row] != NONE and completed[row] > work.due[row]:
            value += 1
    return value


@inner
def finish(m: Memory, work: Work, costs: Costs, server: Server, program: Program, objective: int) -> int:
    """Let `program` decide to the end and return the objective; STATUS says if that failed."""
    while m.scalars[PHASE] != END and m.scalars[STATUS] == FINE:
        possible = look(m, work, server, program.edf, program.uses_oldest, program.uses_slack)
        kind, pool, rule = choose(m, program, possible)
        perform(m, work, costs, server, program, kind, pool, rule, possible)
    return objective_of(m, work, objective)


@inner
def chooses(m: Memory, reference: Program, prefill_possible: bool, program: Program, kind: int, pool: int) -> bool:
    """Whether `reference` is sure to make the same choice as `program`, with the same rows."""
    other_kind, other_pool, _ = choose(m, reference, prefill_possible)
    if program.edf != reference.edf or kind != other_kind or pool != other_pool:
        return False
    size = m.tail[pool - 1] - m.head[pool - 1]
    return kind != DO_RUN or min(size, program.batch_limit) == min(size, reference.batch_limit)


@inner
def note(m: Memory, trace: Trace, kind: int, pool: int, rule: int) -> None:
    """Record the choice about to be made."""
    census = m.scalars
    at, line = census[CHOICES], trace.choices
    line[at, 0], line[at, 1], line[at, 2] = census[NOW], census[PHASE], census[SEGMENT]
    line[at, 3], line[at, 4], line[at, 5], line[at, 6] = kind, pool, rule, census[BATCH]
    for j in range(len(m.observed) if census[PHASE] == DECIDE else 5):
        trace.views[at, j] = m.observed[j]


@inner
def note_launch(m: Memory, trace: Trace, index: int, start: int, kind: int, pool: int, rule: int) -> None:
    """Record the launch that has just been made."""
    line, begin, rows = trace.launches, trace.launch_offset[index], m.scalars[LAUNCHED]
    line[index, 0], line[index, 1], line[index, 2], line[index, 3] = start, kind, pool, rule
    for j in range(rows):
        trace.launch_rows[begin + j] = m.batch[j]
    trace.launch_offset[index + 1] = begin + rows


def _fingerprint() -> str:
    modules = (accounting, interpreter, kernel, memory, observation, program, state, ticks)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _entry(fingerprint: str) -> Callable[..., None]:
    @numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, _nrt=False)  # type: ignore[untyped-decorator]
    def run(program: Program, work: Work, costs: Costs, server: Server, states: Packed, m: Memory, trace: Trace,
            captured: Captured, reference: Program, other: Memory, asked: Asked) -> None:
        """Run `program` from each packed state to its end, or to the first that fails (asked.outcome[0], else -1).

        If there is one state: `trace` and `captured` are filled, and for asked.every > 0 the values of `reference`
        along the run: asked.known[c] = 1 and asked.values[c] = what it reaches from choice point c. Where both choose
        alike the value carries over unchanged, so it is evaluated after differences only, of these at choice points
        divisible by `every`; the last value is that of the run itself. If `reference` fails, outcome[1] is the choice
        point, else -1; outcome[2] counts its runs. Else asked.values[i] is the objective of the run from state i.
        """
        outcome = asked.outcome
        outcome[0], outcome[1], outcome[2] = -1, -1, len(fingerprint) * 0
        recording, valuing = len(trace.choices) > 0, asked.every > 0
        whole = recording or len(captured.at) > 0
        oldest = whole or program.uses_oldest or (valuing and reference.uses_oldest)
        slack = whole or program.uses_slack or (valuing and reference.uses_slack)
        for i in range(len(states.rows)):
            load(m, work, program.edf, states.rows, states.scalars, i)
            taken, launch, valid, value = 0, 0, False, 0
            while m.scalars[PHASE] != END and m.scalars[STATUS] == FINE:
                point, start = m.scalars[CHOICES], m.scalars[NOW]
                while taken < len(captured.at) and captured.at[taken] == point:
                    pack(m, captured.rows, captured.scalars, taken)
                    taken += 1
                if valuing and not valid and point % asked.every == 0:
                    copy(other, m, work, program.edf == reference.edf, reference.edf)
                    value = finish(other, work, costs, server, reference, asked.objective)
                    if other.scalars[STATUS] != FINE:
                        outcome[1] = point
                        return
                    outcome[2] += 1
                    valid = True
                if valid:
                    asked.known[point], asked.values[point] = 1, value
                possible = look(m, work, server, program.edf, oldest, slack)
                kind, pool, rule = choose(m, program, possible)
                if valid:
                    valid = chooses(m, reference, possible, program, kind, pool)
                if recording:
                    note(m, trace, kind, pool, rule)
                perform(m, work, costs, server, program, kind, pool, rule, possible)
                if recording and (kind in (DO_RUN, DO_PREFILL)):
                    note_launch(m, trace, launch, start, kind, pool, rule)
                    launch += 1
            value = objective_of(m, work, asked.objective)
            if m.scalars[STATUS] != FINE:
                outcome[0] = i
                return
            if valuing:
                asked.known[m.scalars[CHOICES]] = 1
            asked.values[m.scalars[CHOICES] if valuing else i] = value

    return cast(Callable[..., None], run)


run = _entry(_fingerprint())
