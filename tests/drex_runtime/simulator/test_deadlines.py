"""Due dates: what the slacks and the urgent order see, when flush_due and urgent fire. Engine (real forwards, fake
clock) and simulators take the same decisions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from drex_runtime.policies import SHIPPED, BoundPolicy, bind
from drex_runtime.policies.art import deep_time, park_time, pass_time
from drex_runtime.policies.observation import BATCH_SLACK, SLACK_CAP
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload, load_profile
from drex_runtime.scheduling.pools import Census, Pools, token_dates
from drex_runtime.scheduling.state import Phase
from drex_runtime.simulator import Log, simulate
from drex_runtime.simulator.compiled import costs_to_go, simulate_compiled
from tests.drex_runtime.engine.cases import comparable, launches_of, run_scripted
from tests.generators import random_profile
from tests.scale import scaled

H200 = Path(__file__).parents[3] / "examples" / "profiles" / "h200-llama2-13b-estimate-start-60us.json"
CENSUS = Census(0, 1, 4, 4, 0)
SLACK_1 = 10  # position of slack_1 in a launch view


def slack_of(request: Request, now: int, *, emitted: int = 0, last: int = 0) -> int:
    """slack_1 while `request` waits in pool 1 of a model with one segment."""
    pools = Pools(1)
    pools.add(1, 0, now=0, request_id=0, dates=token_dates(request, emitted, last))
    return pools.launch_view(now, CENSUS)[SLACK_1]


def test_slack_of_spread_dues_and_of_targets() -> None:
    spread = Request(0, 0, 0, (1,) * 4, due=400)
    assert slack_of(spread, 30) == 70  # 400 over four tokens
    assert slack_of(spread, 30, emitted=2, last=20) == 20 + 190 - 30
    assert slack_of(spread, 150) == 0  # this token is late, the request is not missed: most urgent
    assert slack_of(spread, 401) == slack_of(Request(0, 0, 0, (1,)), 0) == 2**52  # missed; without a due date
    targets = Request(0, 0, 0, (1,) * 4, ttft=50, tpot=10)
    assert slack_of(targets, 45) == 5
    assert slack_of(targets, 45, emitted=3) == 35
    assert slack_of(targets, 51) == 2**52  # a promise of a token is missed with that token


def test_batch_slack_is_that_of_rows_not_known_to_be_ready() -> None:
    """Before a ramp nobody's readiness is known, behind it ready rows do not count, nor where they have to stay."""
    profile = CostProfile("flat", (4,), (SegmentCost((10,)),) * 3, (LinearCost(1),) * 2, (2, 2), rebatch=1)
    dates = (("late, still to be met", 3, {"due": 13}), ("ready at once", 1, {"due": 15}), ("no date", 3, {}))
    rows = [Request(i, 0, 0, (depth,) * 2, **due) for i, (_, depth, due) in enumerate(dates)]

    def slacks(requests: list[Request]) -> list[tuple[Phase, int]]:
        log = Log()
        simulate(bind(SHIPPED["consensus"], profile, ServerConfig(4, 4)), Workload.of(3, requests), log=log)
        at_ramps = [step for step in log.steps if step.state.phase != Phase.DECIDE]
        return [(step.state.phase, step.view[BATCH_SLACK]) for step in at_ramps[:4]]

    consult, ramp = Phase.CONSULT, Phase.RAMP
    assert slacks(rows) == [(consult, 0), (ramp, 0), (consult, SLACK_CAP), (ramp, SLACK_CAP)]  # after 13: missed
    assert slacks(rows[1:]) == [(consult, 0), (ramp, SLACK_CAP), (consult, SLACK_CAP), (ramp, SLACK_CAP)]
    alone = [replace(rows[0], due=90), replace(rows[1], due=100), rows[2]]
    assert slacks(alone) == [(consult, 35), (ramp, 34), (consult, 24), (ramp, 23)]
    assert slacks([replace(alone[0], due=None), *alone[1:]]) == [(consult, 40), (ramp, SLACK_CAP),
                                                                 (consult, SLACK_CAP), (ramp, SLACK_CAP)]


def dated(seed: int, name: str) -> tuple[BoundPolicy, Workload]:
    """Requests with due, ttft, tpot or none, under a policy in either order that splits whenever it is free to."""
    random = Random(f"due {seed}")
    segments, n = random.choice((2, 3)), random.randint(2, 8)
    batch_max = random.randint(1, n)
    profile = random_profile(random, segments, batch_max)
    requests = []
    for i in range(n):
        kind, arrival = random.randrange(4), random.choice((0, random.randint(0, 40)))
        dates = [{}, {"due": arrival + random.randint(0, 400)}, {"tpot": random.randint(1, 60)},
                 {"ttft": random.randint(1, 60), "tpot": random.randint(1, 60)}][kind]
        depths = tuple(random.randint(1, segments) for _ in range(random.randint(1, 6)))
        requests.append(Request(i, arrival, 0, depths, **dates))
    order = random.choice(("fcfs", "edf"))
    settings: dict[str, int] = {"art_factor": 0, "flush_size": 100, "alpha": 0}
    if name == "drex-due" and seed % 4:
        settings["urgent_slack"] = random.choice((0, 10, 20))
    policy = bind(replace(SHIPPED[name], order=order), profile, ServerConfig(batch_max, n), settings)
    return policy, Workload.of(segments, requests)


@pytest.mark.parametrize("name", ["drex", "drex-due"])
def test_equal_decisions_with_dues_in_both_orders(name: str) -> None:
    """Engine, reference and compiled simulator agree; flush_due and urgent fire."""
    fired = Counter[str]()
    for seed in range(scaled(40, 400, "workloads with due dates")):
        policy, workload = dated(seed, name)
        log = Log()
        expected = simulate(policy, workload, log=log)
        assert simulate_compiled(policy, workload).completed.tolist() == list(expected.completed)
        fired.update(launch.rule.split("@")[0] for launch in log.launches)
        fired.update(step.rule for step in log.steps if step.state.phase == Phase.RAMP)
        if seed % 2 == 0:
            got, _, _ = run_scripted(policy, workload)
            assert launches_of(got) == log.launches and comparable(got) == comparable(expected)
    print(dict(fired))
    assert fired["flush_due"] and fired["split"]
    assert fired["urgent"] or name == "drex"


def test_runs_that_see_dates_restart_from_every_state_to_the_same_end() -> None:
    """Also in the middle of a pass, where the kernel has to find the dates of the running rows again."""
    for seed in range(scaled(40, 400, "workloads with due dates, restarted")):
        policy, workload = dated(seed, "drex-due")
        log = Log()
        end = simulate(policy, workload, log=log).objective("total-completion")
        assert set(costs_to_go(policy, workload, [step.state for step in log.steps], "total-completion")) == {end}, seed


def test_flush_due_fires_in_time_with_the_margin_and_too_late_without() -> None:
    """Others always exit and keep the device busy; one row waits. The last moment is a launch before deep time."""
    profile = CostProfile("flat", (4,), (SegmentCost((10,)), SegmentCost((30,))), (LinearCost(1),), (2,), rebatch=1)
    others = [Request(i, 0, 0, (1,) * 40) for i in range(1, 4)]
    workload = Workload.of(2, [Request(0, 0, 0, (2,), due=100), *others])

    def completed(name: str) -> int:
        policy = bind(SHIPPED[name], profile, ServerConfig(4, 4), {"art_factor": 0})
        return simulate(policy, workload).completed[0]

    assert deep_time(profile, 2, 1) == 32 and pass_time(profile, 4) == 44
    assert completed("drex-due") <= 100 < completed("drex")


def test_urgent_rows_go_on_at_once() -> None:
    """One tick decides: with urgent_slack left behind segment 1 the ramp is looked at, with less it is not."""
    profile = CostProfile("flat", (4,), (SegmentCost((10,)), SegmentCost((30,))), (LinearCost(1),), (2,), rebatch=1)
    policy = bind(SHIPPED["drex-due"], profile, ServerConfig(4, 4))
    threshold = park_time(profile, 1, 4) + pass_time(profile, 4)
    assert policy.values["urgent_slack_1"] == threshold == 1 + 2 + 30 + 44

    def choices(due: int) -> list[str]:
        log = Log()
        requests = [Request(0, 0, 0, (2,), due=due), *(Request(i, 0, 0, (1,)) for i in range(1, 4))]
        run = simulate(policy, Workload.of(2, requests), log=log)
        assert run.completed[0] <= due
        return [f"{step.action.kind.name} {step.rule}" for step in log.steps if step.state.phase != Phase.DECIDE]

    assert choices(10 + threshold - 1) == ["SKIP consult"]
    assert choices(10 + threshold) == ["CONSULT consult", "CONTINUE urgent"]  # the look itself cost the last tick
    assert choices(10 + threshold + 1) == ["CONSULT consult", "SPLIT split"]


def test_dates_that_only_exits_can_meet_ask_for_urgent_slack_0() -> None:
    """Every request dated, nine tokens in ten exit. Where full passes are too slow, leaving ramps alone loses."""
    profile, missed = load_profile(H200), Counter[str]()
    config, full = ServerConfig(8, 17, 512), pass_time(profile, 8)
    for percent in (70, 150):
        for seed in range(scaled(3, 20, "workloads of 40 dated requests")):
            random, arrival, requests = Random(f"all dated {seed}"), 0, []
            for i in range(40):
                arrival += int(random.expovariate(1) * full * 20)
                tokens = random.randint(5, 60)
                depths = (2, *(1 if random.random() < 0.9 else 2 for _ in range(tokens - 1)))
                due = arrival + percent * tokens * full // 100 + 2 * full
                requests.append(Request(i, arrival, random.randint(20, 400), depths, due=due))
            workload = Workload.of(2, requests, tick=profile.tick)
            for name, settings in (("no-exit", {}), ("drex", {}), ("drex-due", {}), ("drex-due", {"urgent_slack": 0})):
                run = simulate_compiled(bind(SHIPPED[name], profile, config, settings), workload)
                missed[f"{percent} % {name}{' 0' * len(settings)}"] += run.objective("misses")
    print(dict(missed))
    assert 2 * missed["70 % drex-due 0"] < missed["70 % drex-due"]
    assert missed["150 % drex-due"] <= missed["150 % no-exit"]
