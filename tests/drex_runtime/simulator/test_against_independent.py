"""The reference simulator and an independent simulation of the same text agree, choice by choice."""

from __future__ import annotations

from collections import Counter

import pytest

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import bind
from drex_runtime.policies.observation import RAMP_NAMES, LaunchSpace
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.policies.table import Policy
from drex_runtime.scheduling.state import Kind, Phase
from drex_runtime.simulator import Log, Run, simulate
from tests.generators import Case, Quota, simulator_case
from tests.independent.model import DeadEndError, Outcome, Simulation
from tests.independent.tables import random_policy, rules_of
from tests.scale import scaled

RAMP_ACTIONS = {Kind.SPLIT: "SPLIT", Kind.CONTINUE: "CONTINUE", Kind.EXIT_ALL: "EXIT_ALL", Kind.RELEASE: "RELEASE"}


def told_by_product(case: Case, policy: Policy) -> tuple[Run | None, list[object]]:
    """The product's run as a list of choices; (None, choices) if it ends in a PolicyError."""
    log = Log(keep_steps=True)
    try:
        run = simulate(bind(policy, case.profile, case.config), case.workload, log=log)
    except PolicyError:
        run = None
    ids = [request.id for request in case.workload.requests]
    names = LaunchSpace(case.workload.num_segments).names
    launches = iter(log.launches)
    told: list[object] = []
    for step in log.steps:
        now, kind = step.state.now, step.action.kind
        if step.state.phase is Phase.DECIDE:
            view = dict(zip(names, step.view, strict=True))
            if kind is Kind.IDLE:
                told.append((now, view, step.rule, "IDLE", 0, ()))
            else:
                launch = next(launches)
                told.append((launch.start, view, launch.rule.split("@")[0], launch.kind, launch.pool,
                             tuple(ids[row] for row in launch.rows)))
            continue
        view = dict(zip(RAMP_NAMES, step.view, strict=True))
        if step.state.phase is Phase.CONSULT:
            told.append(("consult", view, kind is Kind.CONSULT))
        elif step.state.phase is Phase.RAMP:
            told.append(("at_ramp", view, step.rule, RAMP_ACTIONS[kind]))
        else:
            told.append(("join", view, kind is Kind.JOIN))
    return run, told


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


def compare(case: Case, policy: Policy) -> bool:
    """Assert that both tell the same story; False if it ends in a dead end (in both)."""
    simulation = Simulation(case.workload, case.profile, case.config, rules_of(policy, case.profile, case.config))
    try:
        simulation.run()
        finished = True
    except DeadEndError:
        finished = False
    outcome = simulation.outcome
    run, told = told_by_product(case, policy)
    ours = told_by_us(outcome)
    for number, (product, we) in enumerate(zip(told, ours, strict=False)):
        assert product == we, f"seed {case.seed}, {policy.name}, choice {number}"
    if not finished:
        assert run is None, f"seed {case.seed}, {policy.name}: a dead end was not reported"
        assert len(told) in (len(ours), len(ours) - 1)
        return False
    assert run is not None, f"seed {case.seed}, {policy.name}: no dead end here"
    assert len(told) == len(ours)
    tokens = {(token.id, token.number): (token.time, token.segment) for token in outcome.tokens}
    for i, request in enumerate(case.workload.requests):
        assert run.completed[i] == outcome.completed[request.id], case.seed
        told_tokens = list(zip(run.token_times[i], run.token_depths[i], strict=True))
        assert told_tokens == [tokens[request.id, t] for t in range(1, request.output_tokens + 1)], case.seed
    assert run.involuntary_exits == outcome.involuntary_exits
    assert run.involuntary_stays == sum(outcome.stays.values())
    return True


def test_random_policies_take_the_same_choices() -> None:
    quota, ends = Quota(), Counter[bool]()
    for seed in range(count := scaled(200, 4000, "random policies, reference = independent simulation")):
        case = simulator_case(seed)
        policy = random_policy(seed, case.workload.num_segments, forced=seed % 4 == 0, dead_ends=seed % 5 == 0)
        ends[compare(case, policy)] += 1
        quota.add(case)
    quota.require(count // 5)
    assert ends[True] > 0.8 * count
    assert ends[False] > 0.01 * count


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_take_the_same_choices(name: str) -> None:
    for seed in range(scaled(25, 400, "workloads per shipped policy, reference = independent simulation")):
        assert compare(simulator_case(10**6 + seed), SHIPPED[name])
