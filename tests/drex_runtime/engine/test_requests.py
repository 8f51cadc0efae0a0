"""Requests: how they end, what is refused before anything runs, scarce memory, aborts."""

from __future__ import annotations

import pytest
import torch

from drex_runtime.engine import Engine
from drex_runtime.errors import InputError
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.records import CostProfile, SegmentCost, ServerConfig
from tests.drex_runtime.engine.cases import generate, model_with

FREE = SamplingParams(max_tokens=9, ignore_eos=True)


def test_stop_tokens_and_lengths() -> None:
    llm = LLM(model_with(1))
    free = llm.generate([[5, 6]], FREE)[0]
    assert free.finish_reason == "length" and len(free.token_ids) == 9
    stop = free.token_ids[3]
    first = free.token_ids.index(stop)
    stopped = llm.generate([[5, 6]], SamplingParams(max_tokens=9, ignore_eos=True, stop_token_ids=(stop,)))[0]
    assert stopped.finish_reason == "stop" and stopped.token_ids == free.token_ids[:first + 1]
    as_eos = LLM(model_with(1, eos_token_id=stop))
    assert as_eos.generate([[5, 6]], SamplingParams(max_tokens=9))[0].token_ids == stopped.token_ids
    assert as_eos.generate([[5, 6]], FREE)[0].token_ids == free.token_ids
    one = llm.generate([[5, 6], []], SamplingParams(max_tokens=1, ignore_eos=True))
    assert [len(output.token_ids) for output in one] == [1, 1]
    llm.engine.check()


def test_outputs_carry_depths_and_times() -> None:
    model = model_with(2, threshold="0.3")
    outputs = LLM(model, max_num_seqs=3).generate([[1, 2, 3], [], [4]], FREE)
    for output in outputs:
        assert len(output.depths) == len(output.exit_layers) == len(output.token_times) == 9
        assert list(output.token_times) == sorted(output.token_times)
        assert output.arrival <= output.token_times[0]
        assert {(1, 1), (2, 3), (3, 4)} >= set(zip(output.depths, output.exit_layers, strict=True))
    assert outputs[0].depths[0] == 3  # the prefill never exits early


def test_logprobs_come_from_the_emitting_head() -> None:
    params = SamplingParams(max_tokens=6, ignore_eos=True, logprobs=3)
    output = LLM(model_with(1, threshold="0.3")).generate([[3, 4]], params)[0]
    assert len(output.logprobs) == 6
    for token, logprob in zip(output.token_ids, output.logprobs, strict=True):
        assert logprob.best[0] == (token, logprob.value)  # greedy: the best is the one chosen


@pytest.mark.parametrize(("prompts", "params", "field"), [
    ([[1, 61]], FREE, "prompt_ids.1"),
    ([[1, -1]], FREE, "prompt_ids.1"),
    ([[1] * 60], FREE, "prompt and output"),
    (["text"], FREE, "prompt"),
    ([[1]], [FREE] * 3, "params"),
])
def test_refused_before_anything_runs(prompts: list[list[int]], params: SamplingParams, field: str) -> None:
    llm = LLM(model_with(1))
    with pytest.raises(InputError, match=field):
        llm.generate([[1], *prompts], params)
    assert not llm.engine.has_work


@pytest.mark.parametrize("field", ["max_tokens", "temperature", "top_p", "seed", "logprobs"])
def test_sampling_parameters_are_checked(field: str) -> None:
    for value in (-1, float("nan")) if field != "max_tokens" else (0,):
        with pytest.raises(InputError, match=field):
            SamplingParams(**{field: value})  # type: ignore[arg-type]


def test_model_and_profile_must_have_the_same_segments() -> None:
    profile = CostProfile("one", (4,), (SegmentCost((1,)),))
    policy = bind(SHIPPED["no-exit"], profile, ServerConfig(4, 4))
    with pytest.raises(InputError, match="segments"):
        Engine(model_with(1), policy)


def test_scarce_memory_delays_but_changes_no_text() -> None:
    """A pool that holds one request at a time; one that could never fit is refused."""
    model = model_with(1, threshold="0.3")
    prompts = [[1, 2, 3], [], [7] * 5, [9]]
    expected = generate(LLM(model), prompts, FREE)
    scarce = LLM(model, kv=KVConfig(capacity_tokens=14, block_cells=6))
    assert generate(scarce, prompts, FREE) == expected
    assert scarce.engine.scheduler.delayed_by_memory > 0
    with pytest.raises(InputError, match="KV capacity"):
        scarce.generate([[1] * 8], FREE)
    with pytest.raises(InputError, match="block_cells"):
        LLM(model, kv=KVConfig(capacity_tokens=14, block_cells=1))


@pytest.mark.parametrize("layout", ["token", "layer"])
@pytest.mark.parametrize("block_cells", [2, 7, 64])
def test_superblock_size_and_layout_change_no_text(layout: str, block_cells: int) -> None:
    model = model_with(1, threshold="0.3")
    prompts = [[1, 2, 3], [], [7] * 5, [9]]
    kv = KVConfig(200, block_cells, layout)  # type: ignore[arg-type]
    assert generate(LLM(model, kv=kv), prompts, FREE) == generate(LLM(model), prompts, FREE)


def test_abort_frees_rows_and_cells_wherever_the_request_waits() -> None:
    model = model_with(2, threshold="0.3")
    for steps in range(0, 25, 2):
        llm = LLM(model, policy="threshold", max_num_seqs=3, prefill_tokens=4)
        engine = llm.engine
        sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for prompt in ([3] * 9, [], [5], [6])]
        for _ in range(steps):
            engine.step()
        for sequence in sequences[::2]:
            if sequence.finished is None:
                engine.abort(sequence)
                engine.check()
        engine.run()
        engine.check()
        assert engine.runner.memory.pool.blocks_in_use == engine.runner.memory.promised == 0
        expected = generate(LLM(model, policy="threshold"), [[], [6]], FREE)
        assert [tuple(sequence.output_ids) for sequence in sequences[1::2]] == [tokens for tokens, _ in expected]


def test_aborting_a_parked_request_or_one_that_is_over_or_unknown_harms_nobody() -> None:
    model = model_with(2, threshold="0.3")
    expected = generate(LLM(model, policy="threshold"), [[6]], FREE)
    llm = LLM(model, policy="threshold", max_num_seqs=3, settings={"flush_size": 3})
    engine = llm.engine
    sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for prompt in ([3] * 9, [5], [7, 8])]
    parked = None
    while parked is None:
        engine.step()
        rows = engine.scheduler.pools.rows(2) or engine.scheduler.pools.rows(3)
        parked = engine.scheduler.at_row[rows[0]] if rows else None
    for _ in range(2):  # the second time it is over already
        engine.abort(parked)
        engine.check()
    assert parked.finished == "abort"
    stranger = engine.intake.live([9], FREE, arrival=0)
    engine.abort(stranger)
    engine.run()
    finished = next(sequence for sequence in sequences if sequence is not parked)
    engine.abort(finished)
    assert finished.finished == "length" and stranger.finished == "abort"
    assert generate(llm, [[6]], FREE) == expected


def test_bfloat16_runs_the_plain_form() -> None:
    model = model_with(1, threshold="0.3").__class__(model_with(1).config)
    model.load_state_dict(model_with(1).state_dict())
    model = model.to(torch.bfloat16).requires_grad_(False)
    outputs = generate(LLM(model, max_num_seqs=2), [[1, 2], [3]], FREE)
    assert [len(tokens) for tokens, _ in outputs] == [9, 9]
