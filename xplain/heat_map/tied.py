"""The optimal schedule that follows a policy wherever it can: differences that are none of the solver's taste.

From each state of the schedule the policy is asked. Where its decision is optimal it is followed; where it is not, the
optimal decision most like it is taken instead (the same decision about other rows, if that is optimal), and the policy
is asked again in the state that follows. Source: analyzer design, Explanations (ties broken towards the heuristic).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from drex_runtime.policies.observation import BUFFERED, READY, pool_position
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, State
from drex_runtime.simulator import Machine
from drex_runtime.simulator.compiled import CompiledPolicy, CompiledWorkload, Trajectory, recorded
from xplain.encodings.exact.along import Along, OptimalStep, run_of
from xplain.encodings.exact.launches import IDLE_END, PREFILL_END
from xplain.explain.regret import after


class Decision(NamedTuple):
    """A choice and the pools it was made in view of: rows ready and rows buffered at the launch (for choices in a
    pass: at its launch). `where`: the pool of a RUN, the ramp of CONSULT to STAY_APART, else 0."""

    ready: int
    buffered: int
    kind: Kind
    where: int


@dataclass(frozen=True)
class Tied:
    """Decisions of the policy's run and of the optimal schedule that follows it, in order.

    `avoided`: decisions of the policy's run that no optimal schedule takes in the state where the policy took them.
    `needed`: decisions that every optimal schedule takes in a state of the policy's run in which the policy did not.
    """

    policy: tuple[Decision, ...]
    optimum: tuple[Decision, ...]
    avoided: frozenset[Decision] = field(default=frozenset())
    needed: frozenset[Decision] = field(default=frozenset())


def tied_optimum(policy: CompiledPolicy, compiled: CompiledWorkload, along: Along) -> Tied | None:
    """The optimal schedule nearest to the policy's run; None where the optimum is not proved within `along`'s limit.

    Raises as `simulate_compiled`; ArithmeticError if the schedule followed is not optimal after all.
    """
    objective: Objective = "total-completion" if along.total else "makespan"
    record = recorded(policy, compiled, objective)
    run = run_of(record.states, compiled.workload, compiled.arrivals, along.total)
    values = along.values(run, record.objective)
    if values is None:
        return None
    own = _decisions(record.trajectory, (0, 0), len(run.now))
    listed: dict[int, Sequence[OptimalStep]] = {}
    avoided: set[Decision] = set()
    needed: set[Decision] = set()
    for index in np.flatnonzero(values[:-1] < values[1:]).tolist():
        steps = along.steps(run, index, int(values[index]))
        if steps is None:
            return None
        listed[index] = steps
        state = compiled.unpack(record.states, index)
        kinds = {_as_decision(_first(state, step), own[index]) for step in steps}
        if own[index] not in kinds:
            avoided.add(own[index])
            needed |= kinds if len(kinds) == 1 else set()
    least = int(values[0]) if len(own) else record.objective
    optimum: list[Decision] = []
    decisions, index = own, min(listed, default=len(own))
    while True:
        optimum += decisions[:index]
        if index == len(run.now):
            break
        options = listed[index] if decisions is own else along.steps(run, index, least)
        if options is None:
            return None
        state = compiled.unpack(record.states, index)
        action = _nearest(policy, compiled, state, decisions[index], options)
        optimum.append(_as_decision(action, decisions[index]))
        reached = after(policy.bound, compiled.workload, state, action)
        if reached.phase == Phase.END:
            break
        launched_at = decisions[index][:2]
        record = recorded(policy, compiled, objective, start=compiled.pack_own([reached]))
        run = run_of(record.states, compiled.workload, compiled.arrivals, along.total)
        found = along.first_loss(run, least, record.objective)
        if found is None:
            return None
        index = found
        decisions = _decisions(record.trajectory, launched_at, index + 1)
    return Tied(own, tuple(optimum), frozenset(avoided), frozenset(needed))


def _decisions(trajectory: Trajectory, launched_at: tuple[int, int], most: int) -> tuple[Decision, ...]:
    """The first `most` choices of a run; `launched_at`: pools at the launch of the pass in which it begins."""
    pools = [pool_position(pool, BUFFERED) for pool in range(2, trajectory.policy.num_segments + 1)]
    views = trajectory.trace.views[:most]
    ready, buffered = views[:, READY].tolist(), views[:, pools].sum(axis=1).tolist()
    columns = [trajectory.column(name)[:most].tolist() for name in ("phase", "segment", "kind", "pool")]
    found = []
    for place, (phase, segment, kind, pool) in enumerate(zip(*columns, strict=True)):
        if phase == Phase.DECIDE:
            launched_at = (ready[place], buffered[place])
        where = (pool if kind == Kind.RUN else 0) if phase == Phase.DECIDE else segment
        found.append(Decision(*launched_at, Kind(kind), where))
    return tuple(found)


def _as_decision(action: Action, instead: Decision) -> Decision:
    """`action` taken in the state in which `instead` was."""
    where = instead.where if action.kind >= Kind.CONSULT else action.pool if action.kind == Kind.RUN else 0
    return Decision(instead.ready, instead.buffered, action.kind, where)


def _first(state: State, step: OptimalStep) -> Action:
    """What has to be chosen now for a pass to become `step`."""
    if state.phase == Phase.DECIDE:
        if step.end in (PREFILL_END, IDLE_END):
            return Action(Kind.PREFILL if step.end == PREFILL_END else Kind.IDLE)
        # A zero-prompt request that is admitted now is still WAITING in the state: it goes to pool 1.
        pools = [max(1, state.place[row]) for row in step.rows]
        pool = min(pools)
        return Action(Kind.RUN, pool, tuple(row for row, at in zip(step.rows, pools, strict=True) if at == pool))
    if state.phase == Phase.CONSULT:
        return Action(Kind.CONSULT if step.end == state.segment else Kind.SKIP)
    if state.phase == Phase.RAMP:
        return Action(Kind.SPLIT if step.end == state.segment else Kind.CONTINUE)
    joined = tuple(row for row in step.rows if state.place[row] == state.segment + 1)
    return Action(Kind.JOIN, state.segment + 1, joined) if joined else Action(Kind.STAY_APART)


def _nearest(policy: CompiledPolicy, compiled: CompiledWorkload, state: State, instead: Decision,
             steps: Sequence[OptimalStep]) -> Action:
    """The optimal action most like the policy's: the same decision if there is one, most rows in common; then the first
    kind of `Kind`, the lowest pool, most rows, the first rows."""
    actions = [_first(state, step) for step in steps]
    rows: frozenset[int] = frozenset()
    if any(action.rows for action in actions):
        bound = policy.bound
        machine = Machine(compiled.workload, bound.profile, bound.config, order=bound.policy.order, start=state)
        if state.phase == Phase.DECIDE:
            machine.admit()
        if instead.kind == Kind.RUN:
            rows = frozenset(machine.pools.first(instead.where, bound.batch_limit))
        elif instead.kind == Kind.JOIN:
            room = bound.config.batch_max - len(machine.batch)
            rows = frozenset(machine.pools.first(instead.where + 1, room))

    def unlike(action: Action) -> tuple[bool, int, int, int, int, tuple[int, ...]]:
        chosen = action.rows or ()
        return (_as_decision(action, instead) != instead, -len(rows.intersection(chosen)), action.kind, action.pool,
                -len(chosen), chosen)

    return min(actions, key=unlike)
