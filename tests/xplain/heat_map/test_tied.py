"""The optimal schedule that follows a policy: against the reference simulator and against every decision there is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from drex_runtime.scheduling.state import Action, Kind, Phase, State
from drex_runtime.simulator import Log, Machine, simulate
from drex_runtime.simulator.compiled import CompiledPolicy, CompiledWorkload, recorded, simulate_compiled, states_at
from tests.generators import Quota
from tests.scale import scaled
from tests.xplain.explain.cases import RegretCase, regret_case
from xplain.encodings.exact import CostToGo
from xplain.encodings.exact.along import Along, run_of
from xplain.explain.regret import after
from xplain.heat_map.tied import Decision, Tied, tied_optimum

LIMIT = 10**6


def along_of(case: RegretCase, limit: int = LIMIT) -> tuple[CompiledWorkload, Along]:
    compiled = CompiledWorkload.of(case.workload)
    return compiled, Along(case.workload, compiled.arrivals, case.policy.profile, case.policy.config, case.objective,
                           limit)


def tied(case: RegretCase) -> Tied:
    compiled, along = along_of(case)
    found = tied_optimum(CompiledPolicy.of(case.policy), compiled, along)
    assert found is not None
    return found


def cases(count: int, max_states: int = 2500) -> Iterator[RegretCase]:
    quota = Quota()
    for seed in range(count):
        case = regret_case(seed, max_states)
        quota.add(case.case)
        yield case
    quota.require(count // 20)


def logged(case: RegretCase) -> tuple[Log, list[Decision]]:
    """The policy's run on the reference simulator, and its decisions by the pools at their launch."""
    log = Log(keep_steps=True)
    simulate(case.policy, case.workload, log=log)
    found, pools = [], (0, 0)
    for step in log.steps:
        if step.state.phase == Phase.DECIDE:
            machine = restored(case, step.state)
            pools = sum(place == 1 for place in machine.place), sum(place > 1 for place in machine.place)
        found.append(decision(pools, step.state, step.action))
    return log, found


def restored(case: RegretCase, state: State) -> Machine:
    machine = Machine(case.workload, case.policy.profile, case.policy.config, start=state)
    if machine.phase == Phase.DECIDE:
        machine.admit()
    return machine


def decision(pools: tuple[int, int], state: State, action: Action) -> Decision:
    where = state.segment if state.phase != Phase.DECIDE else action.pool if action.kind == Kind.RUN else 0
    return Decision(*pools, action.kind, where)


def every_action(case: RegretCase, state: State) -> Iterator[Action]:
    """All the model allows: any rows, any choice."""
    machine = restored(case, state)
    most = machine.config.batch_max
    if state.phase == Phase.DECIDE:
        for pool in range(1, machine.num_segments + 1):
            rows = [row for row, place in enumerate(machine.place) if place == pool]
            for size in range(1, min(most, len(rows)) + 1):
                yield from (Action(Kind.RUN, pool, chosen) for chosen in combinations(rows, size))
        if machine.prefill_plan():
            yield Action(Kind.PREFILL)
        if machine.next_arrival() is not None:
            yield Action(Kind.IDLE)
    elif state.phase == Phase.CONSULT:
        yield from (Action(Kind.CONSULT), Action(Kind.SKIP))
    elif state.phase == Phase.RAMP:
        yield from (Action(Kind.SPLIT), Action(Kind.CONTINUE))
    else:
        rows = [row for row, place in enumerate(machine.place) if place == state.segment + 1]
        for size in range(min(most - len(machine.batch), len(rows)) + 1):
            for chosen in combinations(rows, size):
                yield Action(Kind.JOIN, state.segment + 1, chosen) if chosen else Action(Kind.STAY_APART)


def test_the_policys_side_is_its_run_on_the_reference_simulator() -> None:
    for case in cases(scaled(60, 1500)):
        assert list(tied(case).policy) == logged(case)[1]


def test_avoided_and_needed_are_what_trying_every_decision_says() -> None:
    """At each state of the policy's run every legal decision is priced; dominated ones and all rows included."""
    avoiding = needing = 0
    for case in cases(scaled(60, 600), 600):
        log, own = logged(case)
        search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
        avoided: set[Decision] = set()
        needed: set[Decision] = set()
        for step, made in zip(log.steps, own, strict=True):
            least = search.value(step.state)
            assert least.proved
            if search.value(after(case.policy, case.workload, step.state, step.action)) == least:
                continue
            optimal = {decision(made[:2], step.state, action) for action in every_action(case, step.state)
                       if search.value(after(case.policy, case.workload, step.state, action)) == least}
            if made not in optimal:
                avoided.add(made)
                needed |= optimal if len(optimal) == 1 else set()
        found = tied(case)
        assert found.avoided == avoided
        assert found.needed == needed
        avoiding, needing = avoiding + bool(avoided), needing + bool(needed)
    assert min(avoiding, needing) > 5


def test_no_difference_where_the_policy_is_optimal_and_the_first_one_where_it_first_loses() -> None:
    optimal = losing = 0
    for case in cases(scaled(60, 1500)):
        log, own = logged(case)
        search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
        found = tied(case)
        values = [search.value(step.state).upper for step in log.steps]
        end = simulate(case.policy, case.workload).objective(case.objective)
        first = next((k for k, (one, other) in enumerate(zip(values, [*values[1:], end], strict=True)) if one < other),
                     None)
        if first is None:
            assert found.optimum == found.policy
            assert not found.avoided | found.needed
            optimal += 1
        else:
            assert found.optimum[:first] == tuple(own[:first])
            losing += 1
    assert min(optimal, losing) > 5


def test_the_schedule_followed_reaches_the_optimum() -> None:
    """Its decisions are replayed: at each choice point some rows make that decision optimal."""
    for case in cases(scaled(30, 300), 400):
        found = tied(case)
        search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
        least = search.value(logged(case)[0].steps[0].state)
        reached = {logged(case)[0].steps[0].state}
        for made in found.optimum:
            after_it = set()
            for state in reached:
                for action in every_action(case, state):
                    if decision(made[:2], state, action) == made:
                        following = after(case.policy, case.workload, state, action)
                        if following.phase == Phase.END or search.value(following) == least:
                            after_it.add(following)
            assert after_it
            reached = after_it
        assert any(state.phase == Phase.END for state in reached)


def test_values_along_a_run_are_those_of_the_search_asked_one_by_one() -> None:
    for case in cases(scaled(80, 2000)):
        compiled, along = along_of(case)
        record = recorded(CompiledPolicy.of(case.policy), compiled, case.objective)
        run = run_of(record.states, case.workload, compiled.arrivals, along.total)
        values = along.values(run, record.objective)
        search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
        states = [compiled.unpack(record.states, k) for k in range(len(run.now))]
        assert values is not None
        assert values.tolist() == [*(search.value(state).upper for state in states), record.objective]
        losses = np.flatnonzero(values[:-1] < values[1:])
        first = along.first_loss(run, int(values[0]), record.objective)
        assert first == (losses[0] if len(losses) else len(states))
        fresh = along_of(case)[1]
        assert fresh.first_loss(run, int(values[0]), record.objective) == first


def test_a_recorded_run_is_the_one_that_is_simulated() -> None:
    for case in cases(scaled(20, 300)):
        record = recorded(case.policy, case.workload, case.objective)
        run = simulate_compiled(case.policy, case.workload, record=True)
        compiled = CompiledWorkload.of(case.workload)
        states = [compiled.unpack(record.states, k) for k in range(run.choices)]
        assert record.objective == run.objective(case.objective)
        assert run.trajectory is not None
        np.testing.assert_array_equal(record.trajectory.trace.choices, run.trajectory.trace.choices)
        assert states == states_at(case.policy, case.workload, range(run.choices))
        middle = compiled.pack_own([states[run.choices // 2]])
        assert recorded(case.policy, case.workload, case.objective, start=middle).objective == record.objective


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
def test_nothing_is_said_beyond_the_limit(limit: int) -> None:
    answered = 0
    for case in cases(20):
        compiled, along = along_of(case, limit)
        found = tied_optimum(CompiledPolicy.of(case.policy), compiled, along)
        assert along.nodes <= limit
        if found is not None:
            assert found == tied(case)
            answered += 1
    assert answered < 20
