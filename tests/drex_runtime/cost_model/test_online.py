"""Online ART: exploration within bounds, the same decisions in engine and reference simulator, refusals by name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from drex_runtime.cost_model.model import CostModel
from drex_runtime.cost_model.online import EXPLORE, NEVER, OnlineArt
from drex_runtime.engine import Engine
from drex_runtime.errors import PolicyError
from drex_runtime.execution.scripted import submit_workload
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.settings import load_policy_config, write_policy_config
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.simulator import EventKind, Log, Machine, simulate
from drex_runtime.simulator.compiled import simulate_compiled
from tests.drex_runtime.engine.cases import comparable, launches_of, model_with, run_scripted
from tests.drex_runtime.engine.test_equals_simulator import cases
from tests.scale import scaled

ONLINE = {"art_factor": "online"}
DREX = shipped_policy("drex")
PROFILE = CostProfile("flat", (8,), (SegmentCost((100,), 2),) * 2, (LinearCost(3),), (40,), rebatch=9,
                      prefill=PrefillCost(10**6))


def drive(art: OnlineArt, random: Random, consults: int, buffer: int) -> tuple[int, list[int]]:
    """A policy as bound (b) asks for, on random durations: splits at EXPLORE, runs a buffer of `buffer` rows.

    Returns the explorations and, for each launch behind the ramp, the consults with rows staying since the last.
    """
    waiting = explored = since = 0
    gaps: list[int] = []
    for _ in range(consults):
        rows = random.randint(1, 8)
        exits = random.choice((0, 0, random.randint(0, rows)))
        art.observe("segment", 1, rows, random.randint(0, 10**6))
        art.observe("ramp", 1, rows, random.randint(0, 10))
        if exits == rows:
            continue
        since += 1
        if art.factor(1, rows) == EXPLORE:
            art.observe("rebatch", 1, rows - exits, random.randint(0, 100))
            explored += 1
            waiting += rows - exits
        else:
            art.observe("segment", 2, rows, random.randint(0, 10**6))
        if waiting >= buffer:
            art.observe("start", 2, waiting if waiting <= 8 else 8, random.randint(0, 10**7))
            waiting = 0
            gaps.append(since)
            since = 0
    return explored, [*gaps, since]


@pytest.mark.parametrize("prior", [None, PROFILE])
def test_deep_launches_are_seen_within_a_bound_at_a_bounded_cost(prior: CostProfile | None) -> None:
    for seed in range(scaled(40, 1000)):
        random = Random(seed)
        limit, every = random.randint(1, 6), random.randint(1, 60)
        art = OnlineArt(CostModel(2, 8, prior), limit, explore_every=every)
        consults = random.randint(1, 600)
        explored, gaps = drive(art, random, consults, limit)
        assert explored == art.explorations <= limit * (1 + consults / every), seed
        assert max(gaps) <= every + limit, seed


def test_a_threshold_that_never_splits_is_corrected() -> None:
    """The profile says a second pass costs a hundred times what it does: after exploring, ART is what it should be."""
    wrong = replace(PROFILE, starts=(100_000,))
    art = OnlineArt(CostModel(2, 8, wrong), 8, explore_every=20)
    assert 8 * art.factor(1, 8) > 7
    for _ in range(200):
        art.observe("segment", 1, 8, 116)
        art.observe("ramp", 1, 8, 3)
        if art.factor(1, 8) == EXPLORE:
            art.observe("rebatch", 1, 8, 9)
            art.observe("start", 2, 8, 40)
        art.observe("segment", 2, 8, 116)
    assert art.factor(1, 8) == Fraction(49, 165)
    assert art.explorations <= 10


def test_without_a_prior_the_first_consult_explores_and_unknown_never_splits() -> None:
    art = OnlineArt(CostModel(2, 8), 2, explore_every=5)
    assert art.factor(1, 8) == NEVER
    art.observe("ramp", 1, 8, 3)
    assert art.factor(1, 8) == EXPLORE
    for _ in range(2):
        art.observe("rebatch", 1, 8, 3)
    assert art.factor(1, 8) == NEVER  # the turn is over without a launch behind the ramp


@pytest.mark.parametrize("rate", ["no exits", "all exit", "half"])
def test_drex_keeps_exploring_whatever_exits(rate: str) -> None:
    """On the simulator, with prompts ten thousand times a pass: starts seen, few explorations, prefill nowhere."""
    random = Random(rate)
    requests = []
    for i in range(30):
        depths = [{"no exits": 2, "all exit": 1, "half": random.randint(1, 2)}[rate] for _ in range(80)]
        requests.append(Request(i, 0, 5, (2, *depths)))
    policy = bind(DREX, PROFILE, ServerConfig(2, 4), ONLINE)
    log = Log(keep_steps=False)
    simulate(policy, Workload.of(2, requests), log=log)
    consults = sum(event.kind is EventKind.RAMP for event in log.events)
    starts = [event for event in log.events if event.kind is EventKind.START]
    explored = sum(used.exploring for used in log.arts)
    assert explored <= 2 * (1 + consults / 64)
    if rate != "all exit":
        assert len(starts) >= consults // (64 + 2) - 1 >= 5
    frozen = policy.values["art_factor_1"]
    settled = [used.factor for used in log.arts if not used.exploring]
    assert all(abs(factor - frozen) < Fraction(1, 20) for factor in settled)


def test_engine_and_simulator_use_the_same_values() -> None:
    """The same launches, texts' depths and every value, on the fake clock; explorations occur."""
    explored = used = differing = 0
    for case in cases(scaled(25, 300)):
        if not case.workload.num_ramps:
            continue
        policy = bind(DREX, case.profile, case.config, ONLINE | {"batch_limit": 1 + case.seed % 2})
        log = Log(keep_steps=False)
        expected = simulate(policy, case.workload, log=log)
        got, engine, _ = run_scripted(policy, case.workload)
        assert launches_of(got) == log.launches
        assert comparable(got) == comparable(expected)
        estimator = engine.scheduler.estimator
        assert estimator is not None
        assert list(estimator.used) == log.arts
        used += len(log.arts)
        differing += any(art.factor != policy.values[f"art_factor_{art.ramp}"] for art in log.arts)
        explored += estimator.explorations
    print(f"{used} values used, {differing} runs left the profile's, {explored} explorations")
    assert used and differing


def test_exploration_is_equal_in_both() -> None:
    requests = [Request(i, 0, 0, (2,) * 40) for i in range(12)]
    policy = bind(DREX, PROFILE, ServerConfig(1, 2), ONLINE)
    log = Log(keep_steps=False)
    expected = simulate(policy, workload := Workload.of(2, requests), log=log)
    got, engine, _ = run_scripted(policy, workload)
    assert launches_of(got) == log.launches and comparable(got) == comparable(expected)
    assert engine.scheduler.estimator is not None
    assert engine.scheduler.estimator.explorations >= 3


def test_online_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "online.yaml"
    write_policy_config(path, DREX, ONLINE, {})
    policy, settings = load_policy_config(path)
    assert settings == ONLINE
    assert bind(policy, PROFILE, ServerConfig(8, 8), settings).online == (("art_factor_1", 1),)
    for name in ("flush_size", "max_age", "consult_ramp"):
        with pytest.raises(PolicyError, match=f"{name}.* = online"):
            bind(DREX, PROFILE, ServerConfig(8, 8), {name: "online"})
        with pytest.raises(PolicyError, match=f"{name} = online"):
            write_policy_config(path, DREX, {name: "online"}, {})


def test_those_who_cannot_carry_the_state_refuse_by_name() -> None:
    workload = Workload.of(2, [Request(0, 0, 0, (1, 2))])
    policy = bind(DREX, PROFILE, ServerConfig(8, 8), ONLINE)
    with pytest.raises(PolicyError, match="art_factor_1 is online; the compiled simulator needs frozen"):
        simulate_compiled(policy, workload)
    with pytest.raises(PolicyError, match="online; a run from a given state"):
        simulate(policy, workload, start=Machine(workload, PROFILE, policy.config).snapshot())


def test_the_wall_clock_feeds_the_estimator_too() -> None:
    policy = bind(DREX, PROFILE, ServerConfig(2, 2), ONLINE)
    engine = Engine(model_with(1), policy)
    submit_workload(engine, Workload.of(2, [Request(i, 0, 3, (2, 1, 2, 1)) for i in range(2)]))
    engine.run()
    estimator = engine.scheduler.estimator
    assert estimator is not None
    seen = estimator.model.estimate("segment", 1, 2)
    assert seen is not None and seen > 1000  # ns; the profile says 104
