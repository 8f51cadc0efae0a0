"""From a scheduling State to what the kernels search from, and from a kernel's steps back to actions.

The steps are replayed on the reference mechanics (`Machine`), so that every schedule handed out is one that the
simulator accepts and whose value the simulator computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, Place, State, initial_state, objective_value
from drex_runtime.simulator.mechanics import Machine
from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Int
from xplain.encodings.exact.launches import IDLE_END, PREFILL_END


@dataclass(frozen=True, slots=True)
class Position:
    """A state as the kernels see it: codes, clock, pass (phase, segment, running rows, latched rows as bits).

    Its final objective is `base` + cost-to-go.
    """

    codes: Codes
    now: int
    pass_: Int
    base: int
    finished: bool


def position_of(state: State | None, workload: Workload, total: bool) -> Position:
    """Check and convert a state (None: clock 0). RecordError for states the exact methods do not model."""
    requests, stages = workload.requests, workload.num_segments
    if state is None:
        state = initial_state(len(requests), stages)
    if len(state.place) != len(requests):
        raise RecordError("state", "place", f"{len(state.place)} requests", f"{len(requests)}, as in the workload")
    codes, running, latched, base, finished = [], 0, 0, 0, True
    for row, request in enumerate(requests):
        place, emitted = state.place[row], state.emitted[row]
        if place == Place.DONE:
            codes.append(1 + len(request.depths) * stages)
            base += state.completed[row] - request.arrival if total else 0
            continue
        finished = False
        base += state.now - request.arrival if total else 0
        if place == Place.PREFILLING or state.stamped[row] != -1:
            raise RecordError("state", f"place.{row}" if place == Place.PREFILLING else f"stamped.{row}",
                              place if place == Place.PREFILLING else state.stamped[row],
                              "a state of unlimited prefill without RELEASE (exact methods)")
        if place == Place.WAITING:
            codes.append(0)
            continue
        pool = state.segment if place == Place.RUNNING else place
        codes.append(1 + emitted * stages + pool - 1)
        if place == Place.RUNNING:
            running |= 1 << row
            latched |= (1 << row) if state.latched[row] else 0
    if finished:
        base = objective_value("total-completion" if total else "makespan", state.completed,
                               tuple(request.arrival for request in requests), ())
    elif not total:
        base = state.now
    segment = 0 if state.phase == Phase.DECIDE else state.segment
    return Position(np.array(codes, np.int16), state.now, np.array([state.phase, segment, running, latched], np.int64),
                    base, finished)


def replay(steps: Sequence[tuple[int, int]], workload: Workload, profile: CostProfile, config: ServerConfig,
           objective: Objective, start: State | None, always: bool) -> tuple[tuple[Action, ...], int]:
    """Actions of `steps` (rows in the pass at its end as bits, end) from `start`, and the objective they reach."""
    machine = Machine(workload, profile, config, start=start)
    actions: list[Action] = []
    for rows, end in steps:
        if machine.phase == Phase.DECIDE:
            machine.admit()
            if end == PREFILL_END:
                actions.append(Action(Kind.PREFILL))
                machine.prefill()
                continue
            if end == IDLE_END:
                coming = machine.next_arrival()
                while coming is not None and machine.now < coming:  # idle_max may ask for several
                    actions.append(Action(Kind.IDLE))
                    machine.idle()
                continue
            pool = min(machine.place[row] for row in members(rows))
            chosen = tuple(row for row in members(rows) if machine.place[row] == pool)
            actions.append(Action(Kind.RUN, pool, chosen))
            machine.run(pool, chosen)
        _finish_pass(machine, rows, end, always, actions)
    if machine.phase != Phase.END:
        raise RuntimeError("the search's schedule ends before the requests do")
    run = machine.result()
    return tuple(actions), objective_value(objective, run.completed, run.arrivals, run.dues)


def _finish_pass(machine: Machine, rows: int, end: int, always: bool, actions: list[Action]) -> None:
    while machine.phase not in (Phase.DECIDE, Phase.END):
        if machine.phase == Phase.CONSULT:
            consult = always or machine.segment == end
            actions.append(Action(Kind.CONSULT if consult else Kind.SKIP))
            (machine.consult if consult else machine.skip)()
        elif machine.phase == Phase.RAMP:
            split = machine.segment == end
            actions.append(Action(Kind.SPLIT if split else Kind.CONTINUE))
            (machine.split if split else machine.continue_)()
        else:
            joined = tuple(row for row in members(rows) if machine.place[row] == machine.segment + 1)
            actions.append(Action(Kind.JOIN, rows=joined) if joined else Action(Kind.STAY_APART))
            machine.join(joined)


def members(rows: int) -> list[int]:
    """Rows of a set of bits."""
    return [row for row in range(rows.bit_length()) if rows >> row & 1]


def check_clock(workload: Workload, profile: CostProfile, limit: int) -> None:
    """LimitError if a serial schedule could pass `limit` ticks, so that int64 sums in the kernels cannot overflow."""
    fixed = max(max(segment.fixed) + segment.per_row for segment in profile.segments)
    context = max(segment.per_context for segment in profile.segments)
    ramp = max((cost.fixed + cost.per_row for cost in profile.ramps), default=0)
    fill = profile.kv_fill.fixed + profile.kv_fill.per_row
    start = max(profile.starts, default=0)
    prefill = profile.prefill
    ticks = max(request.arrival for request in workload.requests)
    for request in workload.requests:
        tokens = len(request.depths)
        reach = request.prompt_tokens + tokens
        per_segment = fixed + context * reach + ramp + fill + start + profile.rebatch
        ticks += tokens * profile.num_segments * per_segment + prefill.fixed + prefill.per_token * request.prompt_tokens
    if ticks * len(workload.requests) > limit:
        raise LimitError(f"schedules of this workload could pass {limit} {profile.tick} in sum; use a coarser tick")
