"""The compiled simulator has the integers of the reference: every time, count, choice, view, launch and place-tick.

Cases cover K = 0..3, shipped and generated policies, fcfs and edf, chunked prefill, bounded idling, due dates and
targets, and restarts from every state of a run, passes in progress included.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from random import Random

import numpy as np
import pytest

from drex_runtime.errors import LimitError, PolicyError, RecordError
from drex_runtime.policies import SHIPPED, BoundPolicy, Policy, bind
from drex_runtime.policies.expressions import parse_condition
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.table import LaunchRule
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.scheduling.state import Objective, Phase, State
from drex_runtime.simulator import Log, Run, entries, simulate
from drex_runtime.simulator.accounting import place_time
from drex_runtime.simulator.compiled import (
    CompiledPolicy,
    CompiledRun,
    CompiledWorkload,
    costs_to_go,
    reference_values,
    simulate_compiled,
    states_at,
)
from tests.generators import Case, simulator_case
from tests.scale import scaled

OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion", "misses")


@cache
def generated(index: int, num_segments: int) -> Policy:
    """Generated policy `index`; drawing one takes longer than running it, so each serves several cases."""
    return generate_policy(Random(f"generated {index}"), voluntary=index % 5 < 3, num_segments=num_segments)


def drawn_policy(case: Case, random: Random) -> Policy:
    """A shipped policy or a generated one, in either pool order; one in ten may idle first."""
    if random.random() < 0.4:
        policy = replace(SHIPPED[random.choice(sorted(SHIPPED))], order=random.choice(("fcfs", "edf")))
    else:
        policy = generated(random.randrange(scaled(40, 300, "generated policies")), case.profile.num_segments)
    if random.random() < 0.1:
        when = random.choice(("waiting + ready < 2", "in_flight < 1", "age_1 < 2 and ready < 3"))
        rule = LaunchRule("rest_first", "IDLE", parse_condition(when, "rest_first"))
        policy = replace(policy, name="resting", launch=(rule, *policy.launch))
    return policy


def bound_case(seed: int) -> tuple[BoundPolicy, Case]:
    """Case `seed` with its policy."""
    case = simulator_case(seed)
    return bind(drawn_policy(case, Random(f"policy {seed}")), case.profile, case.config), case


def numbers(run: Run) -> tuple[object, ...]:
    """What must be equal, from the reference."""
    return (run.completed, run.token_times, run.token_depths, run.launches, run.splits, run.involuntary_exits,
            run.involuntary_stays, run.busy, *(run.objective(objective) for objective in OBJECTIVES))


def compiled_numbers(run: CompiledRun, start: State | None = None) -> tuple[object, ...]:
    """The same from the compiled simulator."""
    def rows(flat: np.ndarray, before: int) -> tuple[tuple[int, ...], ...]:
        found = [tuple(flat[a:b].tolist()) for a, b in zip(run.offsets, run.offsets[1:], strict=False)]
        for row, emitted in enumerate(start.emitted if start else ()):
            assert found[row][:emitted] == (before,) * emitted
        return tuple(found)

    return (tuple(run.completed.tolist()), rows(run.token_times, -1), rows(run.token_depths, 0), run.launches,
            run.splits, run.involuntary_exits, run.involuntary_stays, run.busy,
            *(run.objective(objective) for objective in OBJECTIVES))


@pytest.mark.timeout(3000)  # test-all on a busy machine
def test_equal_to_the_tick() -> None:
    """Runs, errors, recorded choices and launches; place-time, which partitions N x duration exactly."""
    seen = Counter[str]()
    for seed in range(scaled(300, 5000)):
        bound, case = bound_case(seed)
        log = Log()
        try:
            expected = simulate(bound, case.workload, log=log)
        except PolicyError as error:
            with pytest.raises(PolicyError) as found:
                simulate_compiled(bound, case.workload)
            assert str(found.value) == str(error)
            seen["idles for ever"] += 1
            continue
        run = simulate_compiled(bound, case.workload, record=True)
        assert compiled_numbers(run) == numbers(expected), seed
        assert run.trajectory is not None
        assert run.trajectory.launches() == log.launches, seed
        assert len(run.trajectory) == run.choices == len(log.steps)
        for index, step in enumerate(log.steps):
            found_step = (run.trajectory.kind(index), run.trajectory.rule(index), run.trajectory.view(index))
            assert found_step == (step.action.kind, step.rule, step.view), (seed, index)
            place = (int(run.trajectory.column(name)[index]) for name in ("now", "phase", "segment", "pool"))
            assert tuple(place)[:3] == (step.state.now, step.state.phase, step.state.segment), (seed, index)
            seen[step.action.kind.name] += 1
        spent = run.place_time
        assert spent == place_time(log, case.workload, case.config), seed
        assert spent.total == case.config.max_num_seqs * (run.end - run.begin)
        assert run.end == expected.makespan or not bound.policy.keeps_exits_voluntary, seed
        seen[f"K = {case.profile.num_segments - 1}"] += 1
        seen[bound.policy.order] += 1
        seen["shipped" if bound.policy.name in SHIPPED else "generated"] += 1
    print(dict(seen))
    needed = ("K = 0", "K = 1", "K = 2", "K = 3", "fcfs", "edf", "shipped", "generated", "SPLIT", "CONTINUE",
              "EXIT_ALL", "RELEASE", "JOIN", "STAY_APART", "IDLE", "PREFILL", "idles for ever")
    short = {name: seen[name] for name in needed if seen[name] < 5}
    assert not short, f"seen too rarely: {short}"


@pytest.mark.timeout(3000)  # test-all on a busy machine
def test_every_state_of_a_run_restarts_to_the_same_end() -> None:
    phases = Counter[Phase]()
    for seed in range(scaled(60, 500)):
        bound, case = bound_case(seed)
        log = Log()
        try:
            expected = simulate(bound, case.workload, log=log)
        except PolicyError:
            continue
        workload, policy = CompiledWorkload.of(case.workload), CompiledPolicy.of(bound)
        states = [step.state for step in log.steps]
        for objective in OBJECTIVES:
            values = costs_to_go(policy, workload, states, objective)
            assert values.tolist() == [expected.objective(objective)] * len(states), seed
        assert states_at(policy, workload, range(len(states))) == states, seed
        phases.update(state.phase for state in states)
        state = states[len(states) // 2]
        rest = Log(keep_steps=False)
        again = simulate_compiled(policy, workload, start=state)
        assert compiled_numbers(again, state)[3:] == numbers(simulate(bound, case.workload, start=state, log=rest))[3:]
        assert again.place_time == place_time(rest, case.workload, case.config, state), seed
    print(dict(phases))
    assert min(phases[phase] for phase in (Phase.DECIDE, Phase.CONSULT, Phase.RAMP, Phase.JOIN)) >= 5


@pytest.mark.timeout(3000)  # test-all on a busy machine
def test_another_policy_finishes_from_every_state_as_the_reference_says() -> None:
    for seed in range(scaled(25, 200)):
        bound, case = bound_case(seed)
        other = bind(generated(3 * seed % 40, case.profile.num_segments), case.profile, case.config)
        log = Log()
        try:
            run = simulate(bound, case.workload, log=log)
        except PolicyError:
            continue
        states = [step.state for step in log.steps]
        expected = [simulate(other, case.workload, start=state) for state in states]
        for objective in OBJECTIVES:
            reached = [found.objective(objective) for found in expected]
            assert costs_to_go(other, case.workload, states, objective).tolist() == reached, seed
            along = reference_values(bound, other, case.workload, objective)
            assert along.steps.tolist() == list(range(len(states) + 1))
            assert along.values.tolist() == [*reached, run.objective(objective)], seed
            assert along.times.tolist()[:-1] == [state.now for state in states]
            assert along.runs <= len(states)
            some = reference_values(bound, other, case.workload, objective, every=3)
            assert set(range(0, len(states), 3)) | {len(states)} <= set(some.steps.tolist())
            assert some.values.tolist() == along.values[some.steps].tolist(), seed


def steady_case() -> tuple[BoundPolicy, Workload]:
    """One that runs long enough to matter."""
    random = Random(1)
    costs = tuple(SegmentCost((40, 50, 60), 2, 1) for _ in range(3))
    profile = CostProfile("steady", (4, 8, 16), costs, (LinearCost(3, 1),) * 2, (5, 7), 4, LinearCost(1, 1),
                          PrefillCost(10, 1, 0))
    requests = [Request(i, 20 * i, random.choice((0, 30)), (3, *random.choices((1, 2, 3), k=40))) for i in range(60)]
    return bind(SHIPPED["drex"], profile, ServerConfig(16, 24, 40)), Workload.of(3, requests)


def test_equal_on_a_longer_run() -> None:
    bound, workload = steady_case()
    for name in ("drex", "flush-now", "threshold"):
        table = replace(SHIPPED[name], order="edf" if name == "threshold" else "fcfs")
        policy = bind(table, bound.profile, bound.config)
        log = Log(keep_steps=False)
        expected = simulate(policy, workload, log=log)
        run = simulate_compiled(policy, workload, record=True)
        assert compiled_numbers(run) == numbers(expected)
        assert run.trajectory is not None
        assert run.trajectory.launches() == log.launches
        assert run.place_time == place_time(log, workload, bound.config)


def test_threads_and_repeats_give_the_same_bytes() -> None:
    bound, workload = steady_case()
    policy, compiled = CompiledPolicy.of(bound), CompiledWorkload.of(workload)

    def run(_: int) -> bytes:
        found = simulate_compiled(policy, compiled, record=True)
        assert found.trajectory is not None
        return b"".join((found.completed.tobytes(), found.token_times.tobytes(),
                         *(array.tobytes() for array in found.trajectory.trace)))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(16)))) == 1


def test_nothing_is_compiled_per_policy() -> None:
    for seed in range(12):
        bound, case = bound_case(seed)
        try:
            simulate_compiled(bound, case.workload)
        except PolicyError:
            continue
    assert len(entries.run.signatures) == 1  # type: ignore[attr-defined]


def test_a_policy_that_idles_for_ever_is_named_with_rule_and_state() -> None:
    bound, workload = steady_case()
    idler = replace(bound.policy, name="idler", launch=(
        LaunchRule("nap", "IDLE", parse_condition("decodes_since_prefill >= 3", "nap")), *bound.policy.launch))
    for config in (bound.config, replace(bound.config, idle_max=7)):
        stuck = bind(idler, bound.profile, config)
        with pytest.raises(PolicyError, match=r"idles for ever at clock .* \(rule nap\)") as expected:
            simulate(stuck, workload)
        with pytest.raises(PolicyError) as found:
            simulate_compiled(stuck, workload)
        assert str(found.value) == str(expected.value)
    with pytest.raises(PolicyError, match="from choice point 0 of drex: policy idles"):
        reference_values(bound, bind(idler, bound.profile, bound.config), workload, "makespan")


def test_clocks_and_costs_beyond_64_bits_are_refused() -> None:
    late = Workload.of(1, [Request(0, MAX_TIME, 0, (1,))])
    profile = CostProfile("dear", (1,), (SegmentCost((2**40,)),))
    policy = bind(SHIPPED["no-exit"], profile, ServerConfig(1, 1))
    with pytest.raises(LimitError) as expected:
        simulate(policy, late)
    with pytest.raises(LimitError) as found:
        simulate_compiled(policy, late)
    assert str(found.value) == str(expected.value)
    steep = CostProfile("steep", (1,), (SegmentCost((1,), 0, 2**40),))
    long = Workload.of(1, [Request(0, 0, 2**31 - 1, (1, 1))])
    with pytest.raises(LimitError, match="use a coarser tick"):
        simulate_compiled(bind(SHIPPED["no-exit"], steep, ServerConfig(1, 1)), long)
    with pytest.raises(LimitError, match="has 1 segments, profile"):
        simulate_compiled(steady_case()[0], late)


def test_states_that_cannot_be_are_refused() -> None:
    bound, workload = steady_case()
    state, n = states_at(bound, workload, [100])[0], len(workload.requests)
    passing = next(found for found in states_at(bound, workload, range(100)) if found.phase == Phase.CONSULT)
    for field, broken in (("place", replace(state, place=(9,) * n)), ("place", replace(state, place=(1,) * n)),
                          ("emitted", replace(state, emitted=(99,) * n)), ("segment", replace(passing, segment=3)),
                          ("place", replace(state, place=state.place[1:]))):
        with pytest.raises(RecordError, match=f"state 0: {field} = "):
            costs_to_go(bound, workload, [broken], "makespan")
    with pytest.raises(LimitError, match="the run has 0 to"):
        states_at(bound, workload, [10**9])
    with pytest.raises(LimitError, match="every = 0"):
        reference_values(bound, bound, workload, "makespan", every=0)
