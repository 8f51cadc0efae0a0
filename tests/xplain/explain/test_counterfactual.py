"""The better choice named at a decision is better by the ticks blamed there, mid-pass choices included: its value is
found again by the exact search on a machine that has taken it."""

from __future__ import annotations

from collections import Counter

from drex_runtime.scheduling.state import Action, Phase, State
from drex_runtime.simulator import Machine
from drex_runtime.simulator.reference import apply
from tests.scale import scaled
from tests.xplain.explain.cases import RegretCase, regret_case
from tests.xplain.explain.test_sums import attributed
from xplain.encodings.exact import CostToGo, Limits, solve
from xplain.explain.regret import after
from xplain.explain.witness import build_witness


def carried_out(case: RegretCase, state: State, action: Action) -> State:
    """The mechanics alone, without the attribution's own code."""
    machine = Machine(case.workload, case.policy.profile, case.policy.config, order=case.policy.policy.order,
                      start=state)
    if machine.phase == Phase.DECIDE:
        machine.admit()
        machine.pools.count_decision()
    apply(machine, action)
    if machine.phase == Phase.RAMP and len(machine.ready_rows()) == len(machine.batch):
        machine.split()
    return machine.snapshot()


def test_the_better_choice_is_better_by_what_rules_are_blamed_for() -> None:
    seen = Counter[Phase]()
    for seed in range(scaled(40, 800)):
        case = regret_case(seed)
        fresh = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
        for step in attributed(case).steps:
            if step.better is None:
                continue
            seen[step.step.state.phase] += 1
            blamed = sum(part.ticks for part in step.parts if part.cause.kind in ("fired", "missed", "batch_limit"))
            reached = carried_out(case, step.step.state, step.better)
            assert reached == after(case.policy, case.workload, step.step.state, step.better)
            value = fresh.value(reached) if reached.phase != Phase.END else None
            chosen = carried_out(case, step.step.state, step.step.action)
            now = fresh.value(chosen) if chosen.phase != Phase.END else None
            assert step.better != step.step.action
            if value is not None and now is not None:
                assert now.upper - value.upper == blamed > 0
    print(seen)
    assert all(seen[phase] >= 5 for phase in (Phase.DECIDE, Phase.CONSULT, Phase.RAMP)) and seen[Phase.JOIN] >= 1


def test_the_witness_tells_the_first_costly_decision() -> None:
    told = Counter[str]()
    for seed in range(scaled(20, 300)):
        case = regret_case(seed)
        witness, regret = build_witness(case.policy, case.workload, case.objective, Limits(), 3)
        first = next((step for step in regret.steps if step.regret), None)
        optimum = solve(case.workload, case.policy.profile, case.policy.config, case.objective).interval
        assert witness.gap == regret.run.objective(case.objective) - optimum.upper and witness.proved
        if first is None:
            assert witness.gap == 0 and "No decision" in witness.first_costly
            continue
        assert all(step.regret == 0 for step in regret.steps[:first.index])
        assert (first.step.rule or "none holds") in witness.first_costly
        told["better" if first.better else "order"] += 1
        assert witness.counterfactual.startswith("Better" if first.better else "The table offers nothing")
        last = next((step for step in reversed(regret.steps) if step.parts), first)
        cause = last.parts[0].cause
        other, _ = build_witness(case.policy, case.workload, case.objective, Limits(), 3, (cause.kind, cause.rule))
        assert f"{cause.kind} {cause.rule}" in other.first_costly
    assert told["better"] > 5
