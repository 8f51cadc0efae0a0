"""Horizons, clocks and service bounds hold on every workload: what they cut off is never an optimum."""

from __future__ import annotations

from itertools import islice
from random import Random

from drex_runtime.errors import PolicyError
from drex_runtime.scheduling.state import Kind
from drex_runtime.simulator import Log, simulate
from tests.encodings.gap.tiny_problems import gap_problems
from tests.scale import scaled
from xplain.encodings.exact import solve
from xplain.encodings.gap.horizons import last_completion, optimal_steps, proved_horizons, shortest_run
from xplain.encodings.gap.service import least_cost, least_cost_conditions
from xplain.encodings.steps import Inputs
from xplain.encodings.steps.listing import count_at_most, every_workload, random_workload
from xplain.encodings.steps.machine import horizon
from xplain.encodings.terms import Terms, evaluate

DECIDE = (Kind.RUN, Kind.PREFILL, Kind.IDLE)


def test_optimal_schedules_fit() -> None:
    """Into steps and clock, and cost at least what service takes."""
    for problem in islice(gap_problems(), scaled(12, 300)):
        profile, config, objective = problem.profile, problem.config, problem.objective
        bounds = proved_horizons(problem)
        terms = Terms()
        inputs = Inputs(terms, problem.space)
        cost = terms.integer("cost", 0, 10**6)
        conditions = least_cost_conditions(profile, config, inputs, objective, cost)
        for workload in islice(every_workload(problem.space), 0, None, scaled(5, 1)):
            found = solve(workload, profile, config, objective)
            optimum = found.interval.upper
            steps = sum(action.kind in DECIDE for action in found.schedule)
            end = last_completion(workload, profile, objective, optimum)
            assert steps <= optimal_steps(workload, end, shortest_run(profile))
            assert least_cost(profile, config, workload, objective) <= optimum
            held = evaluate(conditions, inputs.assignment(workload) | {"cost": optimum})
            assert all(held[each.index] for each in conditions)
            try:
                log = Log()
                run = simulate(problem.policy, workload, log=log)
                other = problem.benchmark and simulate(problem.benchmark, workload)
            except PolicyError:
                continue
            assert sum(step.action.kind in DECIDE for step in log.steps) <= bounds.policy
            assert bounds.clock is not None and run.makespan <= bounds.clock
            if other is None:
                assert steps <= bounds.benchmark <= horizon(inputs)
            else:
                assert other.makespan <= bounds.clock


def test_horizons_for_a_size_suffice_where_it_is_reached() -> None:
    for problem in islice(gap_problems(), scaled(8, 150)):
        if problem.benchmark is not None:
            continue
        gaps = {}
        for workload in every_workload(problem.space):
            try:
                gaps[workload] = problem.replay(workload)
            except PolicyError:
                continue
        if not gaps:
            continue
        least = max(each.gap for each in gaps.values())
        bounds = proved_horizons(problem, least)
        for workload, replayed in gaps.items():
            if replayed.gap >= least:
                found = solve(workload, problem.profile, problem.config, problem.objective)
                assert sum(action.kind in DECIDE for action in found.schedule) <= bounds.benchmark


def test_spaces_are_listed() -> None:
    for problem in islice(gap_problems(), scaled(20, 200)):
        listed = list(every_workload(problem.space))
        assert len(set(listed)) == len(listed) <= count_at_most(problem.space)
        drawn = random_workload(problem.space, Random(1))
        assert drawn in listed
        terms = Terms()
        inputs = Inputs(terms, problem.space)
        for workload in listed[:20]:
            values = inputs.assignment(workload)
            held = evaluate([each for _, each in terms.required], values)
            assert all(held[each.index] for _, each in terms.required)
            assert inputs.workload(values).requests == workload.requests
