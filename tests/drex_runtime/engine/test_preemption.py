"""Preemption changes when a request is served, never what it says: texts, depths and log probabilities stay."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from tests.drex_runtime.engine.cases import model_with
from tests.scale import scaled

Said = tuple[tuple[int, ...], tuple[int, ...]]


def prompts_of(random: Random, count: int) -> list[list[int]]:
    return [[random.randrange(61) for _ in range(random.choice((0, 1, 7, 20)))] for _ in range(count)]


def params_of(random: Random, count: int) -> list[SamplingParams]:
    return [SamplingParams(max_tokens=random.randint(1, 14), ignore_eos=True, temperature=random.choice((0.0, 0.9)),
                           seed=at, presence_penalty=random.choice((0.0, 0.5))) for at in range(count)]


def wishful(random: Random, count: int) -> list[SamplingParams]:
    """Requests that each use much of what a request may ask for."""
    return [SamplingParams(max_tokens=random.randint(8, 16), ignore_eos=True, temperature=0.9, seed=100 + at, top_k=20,
                           top_p=0.95, min_p=0.01, presence_penalty=0.6, frequency_penalty=0.4, repetition_penalty=1.3,
                           logit_bias=((3, 1.5), (5, -2.0)), banned_token_ids=(7,), stop_token_ids=(11,),
                           min_tokens=4, logprobs=3) for at in range(count)]


def submitted(llm: LLM, prompts: list[list[int]], params: list[SamplingParams]) -> list[Sequence]:
    return [llm.engine.submit(llm.engine.intake.live(prompt, each, arrival=0))
            for prompt, each in zip(prompts, params, strict=True)]


def said(sequences: list[Sequence]) -> list[Said]:
    return [(tuple(one.output_ids), tuple(one.depths)) for one in sequences]


def logprobs_of(sequences: list[Sequence]) -> list[float]:
    """All log probabilities, those of the tokens and of the best ones."""
    return [value for one in sequences for logprob in one.logprobs
            for value in (logprob.value, *(value for _, value in logprob.best))]


def alone(ramps: int, threshold: str, prompts: list[list[int]], params: list[SamplingParams]) -> list[Sequence]:
    """What each request says when nobody else is there and nothing is preempted."""
    llm = LLM(model_with(ramps, threshold), policy="flush-now", max_num_seqs=1, clock=FakeClock())
    sequences = submitted(llm, prompts, params)
    llm.engine.run()
    assert not llm.engine.statistics.preemptions
    return sequences


@pytest.mark.parametrize("ramps", [0, 1, 2])
@pytest.mark.parametrize("policy", ["drex", "threshold", "consensus"])
def test_forced_preemption_at_any_step_leaves_every_text_unchanged(ramps: int, policy: str) -> None:
    """Whoever is preempted wherever it waits: in the middle of its prompt, ready, or parked at a ramp. Penalties, noise
    and log probabilities go on as if nothing had happened."""
    where: Counter[str] = Counter()
    for seed in range(scaled(2, 30, f"runs with forced preemption, {policy}, K = {ramps}")):
        random = Random(f"{ramps} {policy} {seed}")
        prompts, params = prompts_of(random, 7), (params_of, wishful)[seed % 2](random, 7)
        llm = LLM(model_with(ramps, "0.02"), policy=policy, max_num_seqs=random.randint(2, 5),
                  prefill_tokens=(3, None, 16)[seed % 3], clock=FakeClock())
        engine = llm.engine
        sequences = submitted(llm, prompts, params)
        while engine.has_work:
            engine.step()
            held = [one for one in engine.scheduler.at_row if one is not None]
            if held and random.random() < 0.25:
                victim = random.choice(held)
                parked = any(victim.row in engine.scheduler.pools.rows(pool) for pool in range(2, ramps + 2))
                where["parked" if parked else "ready" if victim.is_prefilled else "prefilling"] += 1
                engine.scheduler.preempt(victim)
            engine.check()
        expected = alone(ramps, "0.02", prompts, params)
        assert said(sequences) == said(expected), (seed, policy)
        # Prompts in chunks of other sizes: the last bits of their sums.
        assert logprobs_of(sequences) == pytest.approx(logprobs_of(expected), abs=1e-4)
        assert engine.runner.memory.pool.blocks_in_use == engine.runner.memory.promised == 0
    assert where["ready"]
    assert not ramps or policy == "consensus" or where["parked"]


@pytest.mark.parametrize("ramps", [0, 1, 2])
def test_a_pool_far_too_small_for_all_serves_all(ramps: int) -> None:
    """Room for one request at full length, many in flight: preempted over and over, all end, nobody differs."""
    preempted = 0
    for seed in range(scaled(3, 40, f"runs in a tiny pool, K = {ramps}")):
        random = Random(f"tiny {ramps} {seed}")
        prompts, params = prompts_of(random, 8), params_of(random, 8)
        kv = KVConfig(40, block_cells=random.choice((4, 8, 12)), watermark=0.0)
        llm = LLM(model_with(ramps, "0.02"), policy=random.choice(("drex", "flush-now", "no-exit")), max_num_seqs=6,
                  max_model_len=40, kv=kv, prefill_tokens=random.choice((None, 5)), clock=FakeClock())
        sequences = submitted(llm, prompts, params)
        steps = 0
        while llm.engine.has_work:
            llm.engine.step()
            llm.engine.check()
            steps += 1
            assert steps < 20_000
        if llm.policy.policy.name != "no-exit":  # it consults nothing: other depths, other texts
            assert said(sequences) == said(alone(ramps, "0.02", prompts, params)), seed
        preempted += llm.engine.statistics.preemptions
    assert preempted


def test_full_reservation_never_preempts_and_likely_admission_holds_more() -> None:
    most = {}
    for admission in ("full", "likely"):
        kv = KVConfig(64, sequences=2, admission=admission)  # type: ignore[arg-type]
        llm = LLM(model_with(1, "0.02"), policy="flush-now", max_num_seqs=8, max_model_len=64, kv=kv, clock=FakeClock())
        submitted(llm, [[3] * 4] * 8, [SamplingParams(max_tokens=50, ignore_eos=True)] * 8)
        most[admission] = 0
        while llm.engine.has_work:
            llm.engine.step()
            most[admission] = max(most[admission], llm.engine.scheduler.in_flight)
        if admission == "full":
            assert not llm.engine.statistics.preemptions
    assert most["full"] == 2 < most["likely"]
