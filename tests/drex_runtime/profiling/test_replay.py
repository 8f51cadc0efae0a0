"""Measuring and replaying on a small random model: complete, consistent, and honest about the machine."""

from __future__ import annotations

import pytest

from drex_runtime.errors import InputError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.model import EarlyExitLlama, parse_config, random_model
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.profiling.fit import fit_profile
from drex_runtime.profiling.measure import Plan, measure
from drex_runtime.profiling.replay import launch_ticks, replay
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.simulator import Log, simulate

PLAN = Plan((1, 2, 4), (3, 9), tokens=2, rounds=1)


def tiny_model(ramps: list[int]) -> EarlyExitLlama:
    block = {"early_exit": {"ramps": ramps, "head": "shared", "confidence": "top2",
                            "thresholds": ["0.5"] * len(ramps)}} if ramps else {}
    return random_model(parse_config({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 64, "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, **block}), 0)


@pytest.fixture(scope="module", params=[[1], [1, 2], []], ids=["K=1", "K=2", "K=0"])
def measured(request: pytest.FixtureRequest) -> tuple[EarlyExitLlama, CostProfile]:
    model = tiny_model(request.param)
    points, rounds = measure(model, PLAN)
    segments = len(request.param) + 1
    return model, fit_profile(points, PLAN, name="tiny", model="tiny", num_segments=segments, dtype="float32",
                              rounds=rounds)


def workload(num_segments: int) -> Workload:
    requests = [Request(i, i * 1000, 2 + i, (num_segments, *((1 + (i + t) % num_segments) for t in range(4))))
                for i in range(5)]
    return Workload.of(num_segments, requests)


def test_a_measured_profile_is_complete(measured: tuple[EarlyExitLlama, CostProfile]) -> None:
    _, profile = measured
    assert profile.buckets == PLAN.batches and profile.meta.origin == "measured" and profile.meta.raw
    assert profile.meta.device and profile.meta.date and "torch" in profile.meta.method
    assert all(profile.segment_cost(s, 1, 0) > 0 for s in range(1, profile.num_segments + 1))
    assert all(ramp.fixed + ramp.per_row > 0 for ramp in profile.ramps) and all(start > 0 for start in profile.starts)


def test_a_kv_mode_without_a_price_is_refused(measured: tuple[EarlyExitLlama, CostProfile]) -> None:
    model, profile = measured
    policy = bind(SHIPPED["drex"], profile, ServerConfig(3, 4))
    with pytest.raises(InputError, match=r"kv fill = recompute: .* none of them has a cost for recomputing"):
        replay(model, policy, workload(profile.num_segments), kv=KVConfig(64, fill="recompute"))


@pytest.mark.parametrize("name", list(SHIPPED))
def test_replay_compares_the_same_launches(measured: tuple[EarlyExitLlama, CostProfile], name: str) -> None:
    model, profile = measured
    policy = bind(SHIPPED[name], profile, ServerConfig(3, 4))
    work = workload(profile.num_segments)
    result = replay(model, policy, work)
    log = Log(keep_steps=False)
    run = simulate(policy, work, log=log)
    assert [item.launch for item in result.launches] == log.launches
    assert result.predicted == run.makespan and result.measured > result.idle
    assert sum(launch_ticks(log)) + result.idle == run.makespan
