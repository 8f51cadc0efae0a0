"""Against a reference policy: terms of either sign sum to H - reference exactly, its values are simulations of it."""

from __future__ import annotations

from random import Random

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.generate import generate_policy
from drex_runtime.scheduling.state import Action, Kind, Phase
from drex_runtime.simulator import simulate
from tests.generators import simulator_case
from tests.scale import scaled
from tests.xplain.explain.cases import OBJECTIVES, VOLUNTARY, regret_case
from xplain.explain.regret import after, attribute_run, summarise
from xplain.explain.values import ReferenceValues


def test_terms_sum_to_the_difference_of_the_two_policies() -> None:
    losing = saving = 0
    for seed in range(scaled(30, 800)):
        random = Random(f"reference {seed}")
        case = simulator_case(seed)
        segments = case.profile.num_segments
        policy = bind(generate_policy(random, num_segments=segments) if random.random() < 0.5
                      else shipped_policy(random.choice(VOLUNTARY)), case.profile, case.config)
        reference = bind(generate_policy(random, num_segments=segments) if random.random() < 0.2
                         else shipped_policy(random.choice(VOLUNTARY)), case.profile, case.config)
        objective = random.choice(OBJECTIVES)
        values = ReferenceValues(case.workload, objective, reference)
        found = attribute_run(policy, case.workload, objective, values, examine=random.choice((None, 2, 10)))
        expected = (simulate(policy, case.workload).objective(objective)
                    - simulate(reference, case.workload).objective(objective))
        assert found.exact and found.total == expected
        summary = summarise(found, 0, "", values.label)
        assert sum(cause.ticks for cause in summary.causes) == summary.gap == expected
        assert summary.reference == f"policy:{reference.policy.name}"
        kinds = {cause.kind for cause in summary.causes}
        assert kinds <= {"fired", "missed", "batch_limit", "order", "gain", "unexamined"}
        losing += any(cause.ticks > 0 for cause in summary.causes)
        saving += any(cause.ticks < 0 for cause in summary.causes)
        for step in found.steps:
            assert sum(part.ticks for part in step.parts) == step.regret
            assert all(part.ticks < 0 for part in step.parts if part.cause.kind == "gain")
            assert all(part.ticks > 0 for part in step.parts if part.cause.kind != "gain")
    assert losing > 5 and saving > 5


def test_cost_to_go_of_every_visited_state_is_the_simulation_from_there() -> None:
    states = 0
    for seed in range(scaled(20, 300)):
        random = Random(f"cost to go {seed}")
        case = simulator_case(seed)
        policy = bind(generate_policy(random, num_segments=case.profile.num_segments), case.profile, case.config)
        reference = bind(shipped_policy(random.choice(VOLUNTARY)), case.profile, case.config)
        objective = random.choice(OBJECTIVES)
        values = ReferenceValues(case.workload, objective, reference)
        found = attribute_run(policy, case.workload, objective, values, examine=0)
        for step in random.sample(found.steps, min(12, len(found.steps))):
            states += 1
            again = simulate(reference, case.workload, start=step.step.state).objective(objective)
            assert step.before.proved and step.before.upper == again
    assert states > 100


def test_a_policy_against_itself_costs_nothing() -> None:
    for seed in range(scaled(15, 100)):
        case = regret_case(seed)
        values = ReferenceValues(case.workload, case.objective, case.policy)
        found = attribute_run(case.policy, case.workload, case.objective, values)
        assert found.total == 0 and all(step.regret == 0 and not step.parts for step in found.steps)


def test_consulting_a_ramp_at_which_all_are_ready_ends_the_pass() -> None:
    """The counterfactual of a skipped ramp follows the mechanics: with nobody left to go on there is no choice."""
    checked = 0
    for seed in range(scaled(40, 200)):
        case = regret_case(seed)
        no_exit = bind(shipped_policy("no-exit"), case.policy.profile, case.policy.config)
        values = ReferenceValues(case.workload, case.objective, no_exit)
        for step in attribute_run(no_exit, case.workload, case.objective, values).steps:
            state = step.step.state
            if state.phase != Phase.CONSULT:
                continue
            rows = [row for row, place in enumerate(state.place) if place == -1]
            ready = all(case.workload.requests[row].depths[state.emitted[row]] <= state.segment for row in rows)
            reached = after(no_exit, case.workload, state, Action(Kind.CONSULT))
            checked += ready
            assert (reached.phase in (Phase.DECIDE, Phase.END)) == ready
    assert checked > 10
