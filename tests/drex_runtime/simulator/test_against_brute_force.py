"""What theory promises of every voluntary policy, on cases small enough to know the optimum."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random

import pytest

from drex_runtime.policies.bind import bind
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.policies.table import Policy
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, objective_value
from drex_runtime.simulator import Log, Run, simulate
from tests.generators import Case, Quota, simulator_case, small_case
from tests.independent.brute_force import BruteForce, node_of
from tests.independent.tables import random_policy
from tests.scale import scaled

OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion")
VOLUNTARY = tuple(policy for policy in SHIPPED.values() if policy.keeps_exits_voluntary)


stocked = cache(random_policy)


def run_of(case: Case, policy: Policy) -> Run:
    return simulate(bind(policy, case.profile, case.config), case.workload, log=Log(keep_steps=True))


def value(run: Run, objective: Objective) -> int:
    return objective_value(objective, run.completed, run.arrivals, run.dues)


def policies_for(case: Case) -> tuple[Policy, ...]:
    """A shipped policy and two random ones (from a stock: parsing conditions takes longer than running them)."""
    k, stock = case.workload.num_segments, scaled(12, 200, "random policies in stock per K, H >= OPT")
    return (VOLUNTARY[case.seed % len(VOLUNTARY)], stocked(case.seed % stock, k), stocked(case.seed * 7 % stock, k))


def test_no_voluntary_policy_beats_the_clairvoyant() -> None:
    """H >= OPT; against the always-consulting optimum for policies that always consult. Exits are voluntary."""
    quota, tight = Quota(), 0
    for seed in range(count := scaled(80, 1500, "cases x 3 policies, H >= OPT by brute force")):
        case = small_case(10**6 + seed, 1000)
        idle_max = Random(seed).choice((None, None, 1, 3, 7))
        case = replace(case, config=replace(case.config, idle_max=idle_max))
        quota.add(case)
        runs = [(policy, run_of(case, policy)) for policy in policies_for(case)]
        objective = OBJECTIVES[seed % 2]
        optimum = {eq: BruteForce(case.workload, case.profile, case.config, objective, eq).optimum()
                   for eq in (False, True)}
        assert optimum[False] <= optimum[True]
        for policy, run in runs:
            assert run.log is not None
            assert run.involuntary_exits == 0
            always = all(step.action.kind is not Kind.SKIP for step in run.log.steps)
            found = value(run, objective)
            assert found >= optimum[always], f"seed {case.seed}, {policy.name}, {objective}"
            tight += found == optimum[always]
    quota.require(count // 5)
    assert tight > count // 4, "the optimum is reached often enough for the bound to mean something"


def test_every_run_is_a_path_of_the_brute_force() -> None:
    """Simulator and brute force agree on what every single choice costs and leads to."""
    quota = Quota()
    for seed in range(count := scaled(80, 1500, "cases x 3 policies, runs replayed by the brute force")):
        case = simulator_case(10**6 + seed)
        case = replace(case, config=replace(case.config, prefill_tokens=None, idle_max=None))
        quota.add(case)
        objective = OBJECTIVES[seed % 2]
        for policy in policies_for(case):
            run = run_of(case, policy)
            assert run.log is not None
            judge = BruteForce(case.workload, case.profile, case.config, objective)
            node, paid = judge.initial(), 0
            for step in run.log.steps:
                if node.phase is Phase.RAMP and step.state.phase is not Phase.RAMP:  # all were ready: no choice
                    cost, node = judge.apply(node, Action(Kind.SPLIT))
                    paid += cost
                told = node_of(step.state)
                if told.phase is Phase.DECIDE:
                    told = judge.decision(told.now, told.rows)
                assert node == told, f"seed {case.seed}, {policy.name}"
                cost, node = judge.apply(node, step.action)
                paid += cost
            if node.phase is Phase.RAMP:
                cost, node = judge.apply(node, Action(Kind.SPLIT))
                paid += cost
            assert node.phase is Phase.END
            paid -= sum(run.arrivals) if objective == "total-completion" else 0
            assert paid == value(run, objective), f"seed {case.seed}, {policy.name}"
    quota.require(count // 5)


def test_exits_are_voluntary_in_every_policy_without_exit_all() -> None:
    for seed in range(scaled(60, 1000, "policies without EXIT_ALL, no involuntary exit")):
        case = simulator_case(2 * 10**6 + seed)
        run = run_of(case, stocked(seed % 20, case.workload.num_segments))
        assert run.involuntary_exits == 0
        for request, depths in zip(case.workload.requests, run.token_depths, strict=True):
            assert all(ran >= needed for ran, needed in zip(depths, request.depths, strict=True))


@pytest.mark.parametrize("forced", (False, True))
def test_the_same_run_twice_is_the_same(forced: bool) -> None:
    for seed in range(scaled(20, 200, "runs repeated, identical logs")):
        case = simulator_case(3 * 10**6 + seed)
        policy = random_policy(seed % 10, case.workload.num_segments, forced=forced)
        assert run_of(case, policy) == run_of(case, policy)
