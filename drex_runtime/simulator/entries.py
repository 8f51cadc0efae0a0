"""Entry points of the compiled simulator: one run, many costs-to-go, the values of a reference policy along a run.

Only entries are cached on disk. Numba notices a change of the file a cached function stands in, not of the files
its callees stand in; so every entry closes over a fingerprint of all these sources, which is part of its cache key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba

from drex_runtime.policies import observation, program
from drex_runtime.policies.program import Program
from drex_runtime.records import ticks
from drex_runtime.scheduling import state
from drex_runtime.simulator import accounting, interpreter, kernel, memory
from drex_runtime.simulator.accounting import NUM_CATEGORIES
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
    PACKED_FIELDS,
    PACKED_SCALARS,
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
    new_memory,
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
def run_on(m: Memory, work: Work, costs: Costs, server: Server, program: Program) -> None:
    """Let `program` decide until the end, or until STATUS says why not."""
    while m.scalars[PHASE] != END and m.scalars[STATUS] == FINE:
        possible = look(m, work, server, program.edf, program.uses_oldest, program.uses_slack)
        kind, pool, rule = choose(m, program, possible)
        perform(m, work, costs, server, program, kind, pool, rule, possible)


@inner
def objective_of(m: Memory, work: Work, objective: int) -> int:
    """The objective of a finished run; STATUS tells if the sum leaves 62 bits."""
    completed, value = m.rows[COMPLETED], 0
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
def note(m: Memory, trace: Trace, kind: int, pool: int, rule: int) -> None:
    """Record the choice about to be made."""
    census = m.scalars
    line = trace.choices[census[CHOICES]]
    line[0], line[1], line[2] = census[NOW], census[PHASE], census[SEGMENT]
    line[3], line[4], line[5], line[6] = kind, pool, rule, census[BATCH]
    width = len(m.observed) if census[PHASE] == DECIDE else 5
    trace.views[census[CHOICES], :width] = m.observed[:width]


@inner
def note_launch(m: Memory, trace: Trace, index: int, start: int, kind: int, pool: int, rule: int) -> None:
    """Record the launch that has just been made."""
    line, rows = trace.launches[index], m.scalars[LAUNCHED]
    line[0], line[1], line[2], line[3] = start, kind, pool, rule
    begin = trace.launch_offset[index]
    trace.launch_rows[begin:begin + rows] = m.batch[:rows]
    trace.launch_offset[index + 1] = begin + rows


def _fingerprint() -> str:
    modules = (accounting, interpreter, kernel, memory, observation, program, state, ticks)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _entries(fingerprint: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    entry = numba.njit(cache=True, nogil=True)

    @entry  # type: ignore[untyped-decorator]
    def run(program: Program, work: Work, costs: Costs, server: Server, rows: Int, scalars: Int, keep_tokens: bool,
            trace: Trace, captured: Captured) -> Memory:
        """One run from a packed state; records into `trace` and `captured`, returns the memory at its end."""
        m = new_memory(work, costs, server, NUM_CATEGORIES * (len(fingerprint) > 0), keep_tokens)
        load(m, work, program.edf, rows, scalars)
        recording, taken, launch = len(trace.choices) > 0, 0, 0
        if not recording and len(captured.at) == 0:
            run_on(m, work, costs, server, program)
            return m
        while m.scalars[PHASE] != END and m.scalars[STATUS] == FINE:
            while taken < len(captured.at) and captured.at[taken] == m.scalars[CHOICES]:
                pack(m, captured.rows[taken], captured.scalars[taken])
                taken += 1
            possible = look(m, work, server, program.edf, True, True)
            kind, pool, rule = choose(m, program, possible)
            if recording:
                note(m, trace, kind, pool, rule)
            start = m.scalars[NOW]
            perform(m, work, costs, server, program, kind, pool, rule, possible)
            if recording and (kind in (DO_RUN, DO_PREFILL)):
                note_launch(m, trace, launch, start, kind, pool, rule)
                launch += 1
        return m

    @entry  # type: ignore[untyped-decorator]
    def costs_to_go(program: Program, work: Work, costs: Costs, server: Server, rows: Int, scalars: Int,
                    objective: int, values: Int) -> tuple[Memory, int]:
        """values[i]: objective from packed state i. Returns the memory and the index of the run that failed, or -1."""
        m = new_memory(work, costs, server, NUM_CATEGORIES * (len(fingerprint) > 0), False)
        for i in range(len(values)):
            load(m, work, program.edf, rows[i], scalars[i])
            run_on(m, work, costs, server, program)
            if m.scalars[STATUS] == FINE:
                values[i] = objective_of(m, work, objective)
            if m.scalars[STATUS] != FINE:
                return m, i
        return m, -1

    @entry  # type: ignore[untyped-decorator]
    def values_along(program: Program, reference: Program, work: Work, costs: Costs, server: Server, rows: Int,
                     scalars: Int, objective: int, every: int, known: Int, values: Int) -> tuple[Memory, int, int]:
        """known[c] = 1, values[c]: what `reference` would reach from choice point c of `program`'s run.

        Where both choose alike the value carries over unchanged, so only choice points after a difference are
        evaluated, and of these only every `every`-th. The last entry is the end of the run itself. Returns the
        memory of the run that failed (or of the run), the failing choice point or -1, and the runs of `reference`.
        """
        m = new_memory(work, costs, server, NUM_CATEGORIES * (len(fingerprint) > 0), False)
        other = new_memory(work, costs, server, NUM_CATEGORIES, False)
        load(m, work, program.edf, rows, scalars)
        same_order, runs, valid, value = program.edf == reference.edf, 0, False, 0
        while m.scalars[PHASE] != END and m.scalars[STATUS] == FINE:
            point = m.scalars[CHOICES]
            if not valid and point % every == 0:
                copy(other, m, work, same_order, reference.edf)
                run_on(other, work, costs, server, reference)
                if other.scalars[STATUS] == FINE:
                    value = objective_of(other, work, objective)
                if other.scalars[STATUS] != FINE:
                    return other, point, runs
                runs, valid = runs + 1, True
            if valid:
                known[point], values[point] = 1, value
            possible = look(m, work, server, program.edf, program.uses_oldest or reference.uses_oldest,
                            program.uses_slack or reference.uses_slack)
            kind, pool, rule = choose(m, program, possible)
            if valid:
                other_kind, other_pool, _ = choose(m, reference, possible)
                valid = same_order and kind == other_kind and pool == other_pool
                if kind == DO_RUN and valid:
                    size = m.tail[pool - 1] - m.head[pool - 1]
                    valid = min(size, program.batch_limit) == min(size, reference.batch_limit)
            perform(m, work, costs, server, program, kind, pool, rule, possible)
        if m.scalars[STATUS] == FINE:
            point = m.scalars[CHOICES]
            known[point], values[point] = 1, objective_of(m, work, objective)
        return m, -1 if m.scalars[STATUS] == FINE else m.scalars[CHOICES], runs

    return run, costs_to_go, values_along


run, costs_to_go, values_along = _entries(_fingerprint())
PACKED_SHAPE = (PACKED_FIELDS, PACKED_SCALARS)
