"""Due dates: what slack and the urgent order see, when flush_due fires, and one request that never exits among many
that always do. Engine (real forwards, fake clock) and simulators take the same decisions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from drex_runtime.policies import SHIPPED, BoundPolicy, bind
from drex_runtime.policies.art import deep_time, pass_time
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.scheduling.pools import Census, Pools, token_dates
from drex_runtime.simulator import Log, simulate
from drex_runtime.simulator.compiled import simulate_compiled
from tests.drex_runtime.engine.cases import comparable, launches_of, run_scripted
from tests.generators import Case, random_profile
from tests.scale import scaled

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


@pytest.mark.parametrize("name", ["drex", "drex-due"])
def test_equal_decisions_with_dues_in_both_orders(name: str) -> None:
    """Requests with due, ttft, tpot or none: engine, reference and compiled simulator agree; flush_due fires."""
    fired = Counter[str]()
    for seed in range(scaled(40, 400, "workloads with due dates")):
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
        workload = Workload.of(segments, requests)
        order = random.choice(("fcfs", "edf"))
        policy = bind(replace(SHIPPED[name], order=order), profile, ServerConfig(batch_max, n),
                      {"art_factor": 0, "flush_size": 100, "alpha": 0})
        log = Log(keep_steps=False)
        expected = simulate(policy, workload, log=log)
        assert simulate_compiled(policy, workload).completed.tolist() == list(expected.completed)
        fired.update(launch.rule.split("@")[0] for launch in log.launches)
        if seed % 2 == 0:
            got, _, _ = run_scripted(policy, workload)
            assert launches_of(got) == log.launches and comparable(got) == comparable(expected)
    print(dict(fired))
    assert fired["flush_due"]


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


def starving_case(seed: int, segments: int | None = None) -> Case:
    """Request 0 never exits; the others exit at once nine times in ten, and arrive while it runs."""
    random = Random(f"starving {seed}")
    segments, n = segments or random.choice((2, 2, 3)), random.randint(3, 10)
    batch_max = random.randint(1, n)
    profile = random_profile(random, segments, batch_max, scale=random.choice((1, 5)))
    requests = [Request(0, 0, 0, (segments,) * random.randint(1, 8))]
    for i in range(1, n):
        depths = (1 if random.random() < 0.9 else random.randint(1, segments) for _ in range(random.randint(1, 30)))
        requests.append(Request(i, random.choice((0, random.randint(0, 60))), 0, tuple(depths)))
    return Case(seed, Workload.of(segments, requests), profile, ServerConfig(batch_max, random.randint(batch_max, n)))


def with_due(workload: Workload, due: int) -> Workload:
    """Request 0 is due at `due`."""
    return replace(workload, requests=tuple(replace(request, due=due) if request.id == 0 else request
                                            for request in workload.requests))


def finished(policy: BoundPolicy, workload: Workload, *, engine: bool = False) -> int:
    """When request 0 completes; by the engine too, which must agree."""
    position = next(at for at, request in enumerate(workload.requests) if request.id == 0)
    found = simulate(policy, workload).completed[position]
    if engine:
        assert run_scripted(policy, workload)[0].completed[position] == found
    return found


def longest_launch(case: Case) -> int:
    """Ticks of a launch at most: all rows, all contexts."""
    rows, profile = case.config.batch_max, case.profile
    context = sum(request.output_tokens for request in case.workload.requests)
    return (max(profile.starts, default=0) + profile.rebatch + profile.fill_cost(rows)
            + sum(profile.segment_cost(s, rows, context) for s in range(1, profile.num_segments + 1))
            + sum(profile.ramp_cost(r, rows) for r in range(1, profile.num_segments)))


@pytest.mark.parametrize("name", ["drex-due"])
def test_the_guaranteed_share_is_always_kept(name: str) -> None:
    """(K + 1) * N launches per token suffice, whatever the others do: no miss, in the simulator and the engine."""
    for seed in range(scaled(60, 1500, "starving requests with the guaranteed share")):
        case = starving_case(seed)
        tokens = next(request.output_tokens for request in case.workload.requests if request.id == 0)
        share = case.profile.num_segments * case.config.max_num_seqs * longest_launch(case)
        workload = with_due(case.workload, tokens * share)
        policy = bind(SHIPPED[name], case.profile, case.config)
        assert finished(policy, workload, engine=seed % 4 == 0) <= tokens * share, seed


def test_how_often_a_possible_deadline_is_missed() -> None:
    """Possible: full passes in the order of due dates meet it. Counted at that schedule's time times a factor."""
    missed = Counter[tuple[str, int]]()
    count = scaled(80, 1500, "starving requests whose deadline full passes meet")
    for seed in range(count):
        case = starving_case(seed)
        plain = bind(replace(SHIPPED["no-exit"], order="edf"), case.profile, case.config)
        for factor in (1, 2, 3):
            due = factor * finished(plain, with_due(case.workload, 10**6))
            for name in ("drex", "drex-due"):
                policy = bind(SHIPPED[name], case.profile, case.config)
                missed[name, factor] += finished(policy, with_due(case.workload, due)) > due
    print({f"{name} x{factor}": f"{number}/{count}" for (name, factor), number in sorted(missed.items())})
    for factor in (2, 3):
        assert 5 * missed["drex-due", factor] <= missed["drex", factor]
        assert 10 * missed["drex-due", factor] <= count
