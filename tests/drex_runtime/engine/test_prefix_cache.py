"""With a prefix cache prompts cost less and say the same: texts, memory, faults and accounts."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from drex_runtime.engine import Engine
from drex_runtime.errors import InputError
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, ServerConfig
from tests.drex_runtime.engine.cases import generate, model_with
from tests.drex_runtime.engine.test_faults import break_once
from tests.drex_runtime.engine.test_preemption import said
from tests.drex_runtime.model.configs import small_model
from tests.scale import scaled

FREE = SamplingParams(max_tokens=8, ignore_eos=True)
GOLDEN = [7, 8, 9, 10, 11, 12, 13, 14, 15]
BLOCKS_OF_RAMPS = {"shared heads": {}, "layers of their own": {"layer": "full", "norm": "own"},
                   "attention of their own": {"layer": "attention"}}


def cached_llm(model: EarlyExitLlama, **options: Any) -> LLM:
    """An LLM with a prefix cache in blocks of `prefix_block` tokens (4 unless given)."""
    kv = {name: options.pop(name) for name in ("sequences", "fill", "block_cells", "prefix_block", "watermark",
                                               "capacity_tokens", "admission") if name in options}
    given = {"capacity_tokens": 64, "sequences": 4, "prefix_block": 4, "prefix_cache": True, **kv}
    return LLM(model, kv=KVConfig(**given), clock=FakeClock(), max_model_len=64, **options)


def family_of_prompts(random: Random, count: int, longest: int = 40) -> list[list[int]]:
    """Prompts that begin like one of three texts and go on by themselves."""
    texts = [[random.randrange(61) for _ in range(longest)] for _ in range(3)]
    found = []
    for _ in range(count):
        ids = random.choice(texts)[:random.randint(0, longest - 6)]
        found.append(ids + [random.randrange(61) for _ in range(random.randint(0, 6))])
    return found


def params_of(random: Random, count: int) -> list[SamplingParams]:
    return [SamplingParams(max_tokens=random.randint(1, 14), ignore_eos=True, temperature=random.choice((0.0, 0.9)),
                           seed=at, repetition_penalty=random.choice((1.0, 1.2))) for at in range(count)]


def without(model: EarlyExitLlama, prompts: list[list[int]], params: list[SamplingParams], fill: str = "share",
            ) -> list[Any]:
    """Tokens and depths of each request alone, without a cache."""
    kv = KVConfig(64, fill=fill)  # type: ignore[arg-type]
    llm = LLM(model, policy="flush-now", max_num_seqs=1, kv=kv, clock=FakeClock())
    return [(output.token_ids, output.depths) for output in llm.generate(prompts, params)]


def assert_nothing_is_held(engine: Engine) -> None:
    """No row and no promise holds memory; what the cache keeps can all be had."""
    memory = engine.runner.memory
    engine.check()
    assert memory.pool.blocks_in_use == memory.promised == 0
    memory.make_free(memory.pool.num_blocks)
    assert len(memory.pool.free_blocks) == memory.pool.num_blocks
    engine.check()


@pytest.mark.parametrize("fill", ["share", "propagate"])
@pytest.mark.parametrize("ramps", [0, 1, 2])
def test_texts_are_those_without_a_cache(ramps: int, fill: str) -> None:
    model, hits = model_with(ramps, "0.02"), 0
    for seed in range(scaled(3, 40, f"runs with a prefix cache, K = {ramps}, {fill}")):
        random = Random(f"{ramps} {fill} {seed}")
        prompts, params = family_of_prompts(random, 12), params_of(random, 12)
        expected = without(model, prompts, params, fill)
        for policy in ("drex", "threshold"):
            llm = cached_llm(model, policy=policy, max_num_seqs=random.randint(1, 5), fill=fill,
                             prefill_tokens=random.choice((None, 3, 16)), block_cells=random.choice((4, 12, None)),
                             prefix_block=random.choice((1, 2, 4, 16)))
            outputs = llm.generate(prompts, params)
            assert [(output.token_ids, output.depths) for output in outputs] == expected, (seed, policy)
            counted = llm.engine.statistics
            assert counted.prefix_cache_hits == sum(output.cached_tokens for output in outputs)
            assert counted.prefix_cache_queries == sum(map(len, prompts))
            hits += counted.prefix_cache_hits
            assert_nothing_is_held(llm.engine)
    assert hits


@pytest.mark.parametrize("block", BLOCKS_OF_RAMPS)
def test_ramps_that_keep_kv_of_their_own(block: str) -> None:
    """Balcony's modules own K and V for every token of a prompt: they lie in the cached slots too."""
    exits = {"ramps": [2, 4], "thresholds": ["0.05", "0.05"], **BLOCKS_OF_RAMPS[block]}
    model, random = small_model(early_exit=exits), Random(block)
    prompts = family_of_prompts(random, 10)
    expected = without(model, prompts, [FREE] * 10)
    assert len({depth for _, depths in expected for depth in depths}) > 1
    llm = cached_llm(model, policy="threshold", max_num_seqs=3)
    assert generate(llm, prompts, FREE) == expected
    assert generate(llm, prompts, FREE) == expected
    assert llm.engine.statistics.prefix_cache_hits > 100


def test_a_golden_request_before_and_after_others() -> None:
    model = model_with(2, "0.05")
    expected = without(model, [GOLDEN], [FREE])[0]
    llm = cached_llm(model)
    for cached in (0, 8, 8):
        output = llm.generate([GOLDEN], FREE)[0]
        assert (output.token_ids, output.depths) == expected and output.cached_tokens == cached
        llm.generate([[*GOLDEN, 1], GOLDEN[:5] + [60] * 7, []], FREE)


def test_the_last_prompt_token_is_always_computed() -> None:
    llm = cached_llm(model_with(1))
    hits = []
    for prompt in ([5] * 8, [5] * 8, [5] * 9, [5] * 4, [5], []):
        hits.append(llm.generate([prompt], FREE)[0].cached_tokens)
    assert hits == [0, 4, 8, 0, 0, 0]


def test_outputs_are_never_reused_as_prompt() -> None:
    """A chat's next turn repeats the last answer: its tokens may have left early, so they are computed anew."""
    model = model_with(2, "0.02")
    llm = cached_llm(model)
    first = llm.generate([GOLDEN], SamplingParams(max_tokens=20, ignore_eos=True))[0]
    assert min(first.depths) < 3
    turn = [*GOLDEN, *first.token_ids, 3, 4]
    again = llm.generate([turn, turn], FREE)
    assert [output.cached_tokens for output in again] == [8, 8]
    assert (again[0].token_ids, again[0].depths) == without(model, [turn], [FREE])[0]
    # Now the whole of it was a prompt.
    assert llm.generate([turn], FREE)[0].cached_tokens == len(turn) // 4 * 4 - (len(turn) % 4 == 0) * 4


def test_a_preempted_request_finds_its_prompt_and_enters_no_output() -> None:
    model = model_with(2, "0.02")
    expected = without(model, [GOLDEN], [FREE])[0]
    llm = cached_llm(model, policy="flush-now")
    engine = llm.engine
    cache = engine.runner.memory.prefixes
    assert cache is not None
    sequence = engine.submit(engine.intake.live(GOLDEN, FREE, arrival=0))
    while sequence.emitted < 5:
        engine.step()
    entries = set(cache.cache.entries)
    engine.scheduler.preempt(sequence)
    engine.check()
    while sequence.emitted < 6:
        engine.step()
        engine.check()
    assert sequence.prefilled == len(GOLDEN) and engine.statistics.inputs_replayed
    engine.run()
    assert said([sequence]) == [expected] and set(cache.cache.entries) == entries
    assert engine.statistics.prefix_cache_hits == 0, "what it computed itself is no hit"
    assert engine.statistics.cells_owned < 2 * len(GOLDEN) * 4 + 2 * 8 * 4


def test_prefill_costs_and_budget_count_what_is_computed() -> None:
    profile = CostProfile("prefill", (4,), (SegmentCost((10,)), SegmentCost((10,))), (LinearCost(),), (0,),
                          prefill=PrefillCost(1000, 7, 1))
    policy = bind(SHIPPED["no-exit"], profile, ServerConfig(4, 4, 10))
    engine = Engine(model_with(1), policy, clock=FakeClock(), launches=[],
                    kv=KVConfig(64, sequences=4, prefix_cache=True, prefix_block=4))
    one = SamplingParams(max_tokens=1, ignore_eos=True)

    def spent(*prompts: list[int]) -> tuple[int, int]:
        begun, launched = engine.clock.now(), engine.statistics.prefills
        for prompt in prompts:
            engine.submit(engine.intake.live(prompt, one, arrival=begun))
        engine.run()
        return engine.clock.now() - begun, engine.statistics.prefills - launched

    text = list(range(30))
    assert spent(text) == (3 * profile.prefill_cost(10, 0) - 3 * 0 + pairs_cost(profile, 10 * 10 + 10 * 20), 3)
    assert spent([*text[:24], 60, 60]) == (profile.prefill_cost(2, 2 * 24), 1)
    # Ten tokens a launch: five prompts of 2 tokens beyond their cached 24 fit one launch's tokens, four its places.
    assert spent(*([*text[:24], at, at] for at in range(40, 45)))[1] == 2


def pairs_cost(profile: CostProfile, pairs: int) -> int:
    """What `pairs` add to a prefill's cost."""
    return profile.prefill_cost(10, pairs) - profile.prefill_cost(10, 0)


def test_memory_is_taken_from_the_cache_before_anybody_is_preempted() -> None:
    """A pool of two full requests, two places: no preemption without a cache, so there is none with it."""
    model, random = model_with(1, "0.02"), Random(2)
    prompts = [[random.randrange(61) for _ in range(40)] for _ in range(12)]
    long = SamplingParams(max_tokens=20, ignore_eos=True)
    for admission in ("likely", "full"):
        llm = cached_llm(model, policy="flush-now", max_num_seqs=2, sequences=2, block_cells=8, watermark=0.0,
                         admission=admission)
        sequences = [llm.engine.submit(llm.engine.intake.live(prompt, long, arrival=0)) for prompt in prompts]
        most = 0
        while llm.engine.has_work:
            llm.engine.step()
            llm.engine.check()
            most = max(most, llm.engine.scheduler.in_flight)
        prefixes = llm.engine.runner.memory.prefixes
        assert prefixes is not None and prefixes.cache.forgotten and not llm.engine.statistics.preemptions
        assert most == 2 and not llm.engine.scheduler.delayed_by_memory, "cached memory that nobody uses is available"
        assert said(sequences) == without(model, prompts, [long] * 12)
        assert_nothing_is_held(llm.engine)


@pytest.mark.parametrize("ramps", [0, 2])
def test_random_life_in_a_tiny_pool(ramps: int) -> None:
    """Submitted, aborted, preempted and finished at random, far more than fits: who ends says what it says alone."""
    model, happened = model_with(ramps, "0.02"), Counter[str]()
    for seed in range(scaled(6, 80, f"random lives with a prefix cache, K = {ramps}")):
        random = Random(f"life {ramps} {seed}")
        prompts, params = family_of_prompts(random, 14, longest=24), params_of(random, 14)
        llm = cached_llm(model, policy=random.choice(("drex", "flush-now")), max_num_seqs=5, capacity_tokens=40,
                         sequences=random.choice((1, 2)), block_cells=random.choice((4, 8, 12, 24)), watermark=0.0,
                         prefix_block=random.choice((1, 2, 4)), prefill_tokens=random.choice((None, 5)))
        engine, waiting = llm.engine, list(range(14))
        sequences: dict[int, Sequence] = {}
        while engine.has_work or waiting:
            if waiting and random.random() < 0.5:
                at = waiting.pop(0)
                sequences[at] = engine.submit(engine.intake.live(prompts[at], params[at], arrival=0))
            if engine.has_work:
                engine.step()
            held = [one for one in engine.scheduler.at_row if one is not None]
            if held and random.random() < 0.04:
                engine.scheduler.preempt(random.choice(held))
            if held and random.random() < 0.03:
                engine.abort(random.choice(list(sequences.values())))
            engine.check()
        expected = without(model, prompts, params)
        for at, sequence in sequences.items():
            if sequence.finished == "abort":
                happened["aborted"] += 1
            else:
                assert said([sequence]) == [expected[at]], (seed, at)
        prefixes = engine.runner.memory.prefixes
        assert prefixes is not None
        happened["hit"] += engine.statistics.prefix_cache_hits
        happened["preempted"] += engine.statistics.preemptions
        happened["evicted"] += prefixes.cache.forgotten
        assert_nothing_is_held(engine)
    assert all(happened[name] for name in ("aborted", "hit", "preempted", "evicted")), happened


def test_a_beginning_scattered_over_too_many_superblocks_is_cut() -> None:
    """Each prompt adds 2 tokens to the one before, in superblocks of its own: reading all would fill the pool."""
    model = model_with(1, "1")
    llm = cached_llm(model, capacity_tokens=40, sequences=1, block_cells=16, prefix_block=2, max_num_seqs=2,
                     watermark=0.0)
    text = list(range(30))
    for length in range(3, 28, 2):
        llm.generate([text[:length]], FREE)
        llm.engine.check()
    short = SamplingParams(max_tokens=4, ignore_eos=True)
    output = llm.generate([text[:29]], short)[0]
    assert (output.token_ids, output.depths) == without(model, [text[:29]], [short])[0]
    assert 0 < output.cached_tokens < 28
    assert_nothing_is_held(llm.engine)


@pytest.mark.parametrize("steps", range(1, 8))
def test_aborted_in_the_middle_of_its_prompt(steps: int) -> None:
    """What was computed by then serves the next one."""
    model = model_with(1, "0.05")
    prompt = [at % 61 for at in range(33)]
    llm = cached_llm(model, prefill_tokens=5)
    engine = llm.engine
    sequence = engine.submit(engine.intake.live(prompt, FREE, arrival=0))
    for _ in range(steps):
        engine.step()
    engine.abort(sequence)
    engine.check()
    assert engine.runner.memory.pool.blocks_in_use == engine.runner.memory.promised == 0
    output = llm.generate([prompt], FREE)[0]
    assert output.cached_tokens == min(5 * steps, 32) // 4 * 4
    assert (output.token_ids, output.depths) == without(model, [prompt], [FREE])[0]
    assert_nothing_is_held(engine)


def test_the_same_prompt_while_the_first_is_still_in_its_prefill() -> None:
    """Both in one launch: no hit. One chunk later: what the first has computed by then."""
    model, prompt = model_with(1, "0.05"), [at % 61 for at in range(33)]
    expected = without(model, [prompt], [FREE])
    together = cached_llm(model)
    assert [output.cached_tokens for output in together.generate([prompt, prompt], FREE)] == [0, 0]
    engine = cached_llm(model, prefill_tokens=20, max_num_seqs=3).engine
    sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for _ in range(3)]
    while engine.has_work:
        engine.step()
        engine.check()
    assert said(sequences) == expected * 3
    assert [sequence.cached for sequence in sequences] == [0, 20, 32]
    assert_nothing_is_held(engine)


@pytest.mark.parametrize("place", ["segment", "prefill", "sampler", "emission"])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_fault_leaves_the_cache_consistent(place: str, count: int) -> None:
    model = model_with(2, "0.05")
    prompts = [GOLDEN, [*GOLDEN[:8], 50, 51], [*GOLDEN, 52], [4]]
    expected = without(model, prompts, [FREE] * 4)
    llm = cached_llm(model, policy="threshold", max_num_seqs=2, prefill_tokens=6)
    engine = llm.engine
    sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for prompt in prompts]
    repair = break_once(engine, place, count)
    while engine.has_work:
        engine.step()
        engine.check()
    for sequence, tokens_and_depths in zip(sequences, expected, strict=True):
        assert sequence.finished == "error" or said([sequence]) == [tokens_and_depths]
    repair()
    assert generate(llm, prompts, FREE) == expected
    assert_nothing_is_held(engine)


def test_prompts_longer_than_the_pool_stay_refused() -> None:
    llm = cached_llm(model_with(1), capacity_tokens=20)
    llm.generate([[3] * 12], FREE)
    with pytest.raises(InputError, match="KV capacity"):
        llm.generate([[3] * 14], FREE)  # 12 of them are cached, but the whole must fit


def test_switched_off_nothing_is_looked_up() -> None:
    llm = LLM(model_with(1), clock=FakeClock())
    outputs = llm.generate([[3] * 40] * 20, FREE)
    counted = llm.engine.statistics
    assert counted.prefix_cache_queries == counted.prefix_cache_hits == 0
    assert not any(output.cached_tokens for output in outputs)
    with pytest.raises(InputError, match="prefix_block"):
        KVConfig(64, prefix_cache=True, prefix_block=0)


def test_log_probabilities_differ_by_rounding_alone() -> None:
    """What is read is what was computed; only the rest of the prompt is cut into other chunks."""
    model, random = model_with(1, "0.3"), Random(4)
    params = SamplingParams(max_tokens=6, ignore_eos=True, logprobs=0)
    prompts = family_of_prompts(random, 12)
    plain = LLM(model, max_num_seqs=1, clock=FakeClock()).generate(prompts, params)
    cached = cached_llm(model, max_num_seqs=1).generate(prompts, params)
    assert any(output.cached_tokens for output in cached)
    largest = max(abs(one.value - two.value) for before, after in zip(plain, cached, strict=True)
                  for one, two in zip(before.logprobs, after.logprobs, strict=True))
    print(f"largest difference of a log probability: {largest:.1e}")
    assert largest < 1e-4


def test_a_prompt_that_must_wait_holds_up_those_behind_it_but_not_those_with_a_place(
        monkeypatch: pytest.MonkeyPatch) -> None:
    engine = cached_llm(model_with(1), prefill_tokens=5).engine
    begun, first, behind = (engine.intake.live([at] * 20, FREE, arrival=0, request_id=number)
                            for at, number in ((3, 1), (4, 0), (5, 2)))
    engine.submit(begun)
    engine.step()
    engine.submit(first)  # before `begun` in the queue, as one that was preempted is
    engine.submit(behind)
    with monkeypatch.context() as patched:
        patched.setattr(engine.runner, "can_hold", lambda placed: first not in placed)
        for _ in range(3):
            engine.step()
        assert (begun.prefilled, first.row, behind.row) == (20, -1, -1)
    engine.run()
    assert {sequence.finished for sequence in (begun, first, behind)} == {"length"}
    assert_nothing_is_held(engine)
