"""Reference simulator, compiled simulator and an independent simulation of the same text agree, choice by choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import BoundPolicy, bind
from drex_runtime.policies.observation import RAMP_NAMES, LaunchSpace
from drex_runtime.policies.program import compile_policy
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.policies.table import Policy
from drex_runtime.scheduling.state import Kind, Phase
from drex_runtime.simulator import LaunchRecord, Log, Run, simulate
from drex_runtime.simulator.compiled import CompiledRun, simulate_compiled
from tests.generators import Case, Quota, simulator_case
from tests.independent.model import DeadEndError, Outcome, Simulation
from tests.independent.tables import random_policy, rules_of
from tests.scale import scaled

Recorded = tuple[Phase, Kind, int, str, tuple[int, ...]]
RAMP_ACTIONS = {Kind.SPLIT: "SPLIT", Kind.CONTINUE: "CONTINUE", Kind.EXIT_ALL: "EXIT_ALL", Kind.RELEASE: "RELEASE"}


def told_by_reference(case: Case, policy: BoundPolicy) -> tuple[Run | None, list[object]]:
    """The reference run as a list of choices; (None, choices) if it ends in a PolicyError."""
    log = Log(keep_steps=True)
    try:
        run = simulate(policy, case.workload, log=log)
    except PolicyError:
        run = None
    choices = ((one.state.phase, one.action.kind, one.state.now, one.rule, one.view) for one in log.steps)
    return run, told_by_product(case, choices, log.launches)


def told_by_compiled(case: Case, policy: BoundPolicy) -> tuple[CompiledRun, list[object]]:
    """The same from the compiled simulator; it records finished runs only."""
    run = simulate_compiled(policy, case.workload, record=True)
    trajectory = run.trajectory
    assert trajectory is not None
    now = trajectory.column("now")
    choices = ((trajectory.phase(i), trajectory.kind(i), int(now[i]), trajectory.rule(i), trajectory.view(i))
               for i in range(len(now)))
    return run, told_by_product(case, choices, trajectory.launches())


def told_by_product(case: Case, choices: Iterable[Recorded], launched: list[LaunchRecord]) -> list[object]:
    """(phase, kind, clock, rule, view) of every choice, and the launches, in the words of `told_by_us`."""
    ids = [request.id for request in case.workload.requests]
    names = LaunchSpace(case.workload.num_segments).names
    launches = iter(launched)
    told: list[object] = []
    for phase, kind, now, rule, values in choices:
        if phase is Phase.DECIDE:
            view = dict(zip(names, values, strict=True))
            if kind is Kind.IDLE:
                told.append((now, view, rule, "IDLE", 0, ()))
            else:
                launch = next(launches)
                assert launch.rule == rule
                told.append((launch.start, view, rule.split("@")[0], launch.kind, launch.pool,
                             tuple(ids[row] for row in launch.rows)))
            continue
        view = dict(zip(RAMP_NAMES, values, strict=True))
        if phase is Phase.CONSULT:
            told.append(("consult", view, kind is Kind.CONSULT))
        elif phase is Phase.RAMP:
            told.append(("at_ramp", view, rule, RAMP_ACTIONS[kind]))
        else:
            told.append(("join", view, kind is Kind.JOIN))
    return told


def told_by_us(outcome: Outcome) -> list[object]:
    """The same list from the independent simulation."""
    told: list[object] = []
    for step in outcome.steps:
        rows = tuple(id for id, _ in step.chunks) if step.action == "PREFILL" else step.rows
        told.append((step.start, step.view, step.rule, step.action, step.pool, rows))
        for choice in step.choices:
            if choice.question == "at_ramp":
                told.append(("at_ramp", choice.view, choice.rule, choice.answer))
            else:
                told.append((choice.question, choice.view, choice.answer == "True"))
    return told


def refused(policy: BoundPolicy) -> bool:
    """Whether the compiled simulator cannot run the table: products of times that int64 might not hold."""
    try:
        compile_policy(policy)
    except PolicyError as error:
        assert "can exceed 64-bit integers" in str(error)
        return True
    return False


def compare(case: Case, policy: Policy, seen: Counter[str]) -> None:
    """Assert that all tell the same story; `seen` counts dead ends (in all of them) and compiled runs."""
    what = f"seed {case.seed}, {policy.name}"
    simulation = Simulation(case.workload, case.profile, case.config, rules_of(policy, case.profile, case.config))
    try:
        simulation.run()
        finished = True
    except DeadEndError:
        finished = False
    outcome, ours = simulation.outcome, told_by_us(simulation.outcome)
    bound = bind(policy, case.profile, case.config)
    run, told = told_by_reference(case, bound)
    for number, (product, we) in enumerate(zip(told, ours, strict=False)):
        assert product == we, f"{what}, choice {number}"
    compilable = not refused(bound)
    seen["dead end"] += not finished
    seen["compiled"] += compilable
    if not finished:
        assert run is None, f"{what}: a dead end was not reported"
        assert len(told) in (len(ours), len(ours) - 1)
        if compilable:
            with pytest.raises(PolicyError):
                simulate_compiled(bound, case.workload)
        return
    assert run is not None, f"{what}: no dead end here"
    assert len(told) == len(ours)
    compare_outcome(case, run, outcome, what)
    if compilable:
        compiled, told = told_by_compiled(case, bound)
        assert told == ours, f"{what}, compiled"
        compare_outcome(case, compiled, outcome, f"{what}, compiled")


def compare_outcome(case: Case, run: Run | CompiledRun, outcome: Outcome, what: str) -> None:
    """Assert equal completions, tokens and counters."""
    tokens = {(token.id, token.number): (token.time, token.segment) for token in outcome.tokens}
    for i, request in enumerate(case.workload.requests):
        assert run.completed[i] == outcome.completed[request.id], what
        expected = [tokens[request.id, t] for t in range(1, request.output_tokens + 1)]
        if isinstance(run, Run):
            times, depths = list(run.token_times[i]), list(run.token_depths[i])
        else:
            first, last = run.offsets[i], run.offsets[i + 1]
            times, depths = run.token_times[first:last].tolist(), run.token_depths[first:last].tolist()
        assert list(zip(times, depths, strict=True)) == expected, what
    assert run.involuntary_exits == outcome.involuntary_exits, what
    assert run.involuntary_stays == sum(outcome.stays.values()), what


def test_random_policies_take_the_same_choices() -> None:
    quota, seen = Quota(), Counter[str]()
    for seed in range(count := scaled(200, 4000, "random policies, both simulators = independent simulation")):
        case = simulator_case(seed)
        policy = random_policy(seed, case.workload.num_segments, forced=seed % 4 == 0, dead_ends=seed % 5 == 0)
        compare(case, policy, seen)
        quota.add(case)
    quota.require(count // 5)
    print(dict(seen))
    assert 0.01 * count < seen["dead end"] < 0.2 * count
    assert seen["compiled"] > 0.4 * count


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_take_the_same_choices(name: str) -> None:
    for seed in range(scaled(25, 400, "workloads per shipped policy, both simulators = independent simulation")):
        compare(simulator_case(10**6 + seed), SHIPPED[name], seen := Counter[str]())
        assert seen["compiled"]
        assert not seen["dead end"]
