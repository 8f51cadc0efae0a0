"""Regrets sum to the gap exactly, on every run whose optimum is proved; no decision gains on the optimum."""

from __future__ import annotations

from collections import Counter

from drex_runtime.scheduling.state import Kind
from drex_runtime.simulator import simulate
from tests.generators import Quota
from tests.scale import scaled
from tests.xplain.explain.cases import RegretCase, regret_case
from xplain.encodings.exact import CostToGo, solve
from xplain.explain.regret import RunRegret, attribute_run, summarise
from xplain.explain.values import ClairvoyantValues

CLAIRVOYANT_KINDS = {"fired", "missed", "batch_limit", "order"}


def attributed(case: RegretCase, examine: int | None = None) -> RunRegret:
    search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective)
    values = ClairvoyantValues(case.workload, case.objective, search)
    return attribute_run(case.policy, case.workload, case.objective, values, examine=examine)


def test_regrets_sum_to_the_gap_and_parts_to_their_step() -> None:
    quota, seen, steps = Quota(), Counter[str](), 0
    count = scaled(130, 3000)
    for seed in range(count):
        case = regret_case(seed)
        quota.add(case.case)
        seen.update(case.features)
        found = attributed(case)
        optimum = solve(case.workload, case.policy.profile, case.policy.config, case.objective).interval
        gap = simulate(case.policy, case.workload).objective(case.objective) - optimum.upper
        assert optimum.proved and found.exact and found.uncertainty == 0
        assert found.total == gap == sum(step.regret for step in found.steps) >= 0
        for step in found.steps:
            steps += 1
            seen[step.step.action.kind.name] += 1
            assert step.regret >= 0, f"seed {seed}: a decision beats the optimum by {-step.regret}"
            assert sum(part.ticks for part in step.parts) == step.regret
            assert all(part.ticks > 0 and part.cause.kind in CLAIRVOYANT_KINDS for part in step.parts)
        summary = summarise(found, 7, "somewhere", "clairvoyant")
        assert sum(cause.ticks for cause in summary.causes) == summary.gap == gap
        assert abs(sum(cause.share for cause in summary.causes) - (1 if gap else 0)) < 1e-9
    print(f"{steps} steps; {dict(seen)}")
    quota.require(count // 4, ("batch_max < n", "N < n", "arrivals", "K = 1", "K = 2", "start > 0", "fill > 0",
                               "prompts"))
    needed = {"generated", "patient", "drex", "no-exit", "makespan", "total-completion", Kind.IDLE.name,
              Kind.PREFILL.name, Kind.RUN.name, Kind.CONSULT.name, Kind.SKIP.name, Kind.SPLIT.name, Kind.CONTINUE.name,
              Kind.JOIN.name, Kind.STAY_APART.name}
    assert not needed - set(seen), f"never seen: {needed - set(seen)}"


def test_examining_fewer_steps_moves_ticks_to_unexamined_but_loses_none() -> None:
    checked = 0
    for seed in range(scaled(25, 250)):
        case = regret_case(seed)
        full, part = attributed(case), attributed(case, examine=1)
        assert [step.regret for step in part.steps] == [step.regret for step in full.steps]
        causes = [item.cause.kind for step in part.steps for item in step.parts]
        costly = sum(step.regret > 0 for step in full.steps)
        assert sum(kind == "unexamined" for kind in causes) == max(0, costly - 1)
        assert sum(item.ticks for step in part.steps for item in step.parts) == full.total
        checked += costly > 1
    assert checked >= 3


def test_an_optimal_run_has_no_cause() -> None:
    optimal = 0
    for seed in range(scaled(60, 600)):
        case = regret_case(seed, max_states=800)
        found = attributed(case)
        if found.total == 0:
            optimal += 1
            assert all(not step.parts and step.better is None for step in found.steps)
            assert summarise(found, 0, "", "clairvoyant").causes == ()
    assert optimal >= 3
