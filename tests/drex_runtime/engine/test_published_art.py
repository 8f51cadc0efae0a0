"""The published threshold at work: with ART 3.6 of 8, simulators and engine split at the same ramps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.art import art_terms
from drex_runtime.records import Request, ServerConfig, Workload, load_profile
from drex_runtime.scheduling.state import Kind
from drex_runtime.simulator import Log, simulate
from drex_runtime.simulator.compiled import simulate_compiled
from tests.drex_runtime.engine.cases import comparable, launches_of, run_scripted

PROFILE = load_profile(Path(__file__).parents[3] / "examples" / "profiles" / "a100-llama2-13b-published.json")
POLICY = bind(shipped_policy("drex"), PROFILE, ServerConfig(8, 17))


def splits_of(workload: Workload) -> list[tuple[int, int, Kind]]:
    """(batch, exits, choice) at every ramp where somebody would stay, from the reference; engine and compiled
    simulator must have launched and split alike."""
    log = Log(keep_steps=True)
    run = simulate(POLICY, workload, log=log)
    got, engine, _ = run_scripted(POLICY, workload)
    compiled = simulate_compiled(POLICY, workload)
    assert launches_of(got) == log.launches
    assert comparable(got) == comparable(run)
    assert engine.statistics.splits == run.splits == compiled.splits
    assert compiled.completed.tolist() == list(run.completed)
    return [(step.view[1], step.view[2], step.action.kind) for step in log.steps
            if step.action.kind in (Kind.SPLIT, Kind.CONTINUE)]


def test_the_threshold_is_that_of_the_paper() -> None:
    assert round(float(8 * art_terms(PROFILE, 1, 8).factor), 1) == 3.6
    assert round(float(POLICY.values["art_factor_1"]), 3) == 0.453


@pytest.mark.parametrize(("exits", "choice"),
                         [(0, Kind.CONTINUE), (3, Kind.CONTINUE), (4, Kind.SPLIT), (7, Kind.SPLIT)])
def test_eight_rows_split_from_four_exits_on(exits: int, choice: Kind) -> None:
    requests = [Request(i, 0, 0, (1 if i < exits else 2,)) for i in range(8)]
    assert splits_of(Workload.of(2, requests, tick=PROFILE.tick))[0] == (8, exits, choice)


def test_every_decision_of_longer_runs_follows_the_threshold() -> None:
    seen = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        requests = [Request(i, int(rng.integers(0, 4)) * 30_000, 0, tuple(rng.integers(1, 3, 6).tolist()))
                    for i in range(17)]
        for batch, exits, kind in splits_of(Workload.of(2, requests, tick=PROFILE.tick)):
            assert (kind == Kind.SPLIT) == (exits > POLICY.values["art_factor_1"] * batch)
            seen.add((batch, kind))
    assert {kind for _, kind in seen} == {Kind.SPLIT, Kind.CONTINUE} and len(seen) > 8
