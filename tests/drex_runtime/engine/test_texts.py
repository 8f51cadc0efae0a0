"""Tokens and depths are the model's alone: no policy, batch, neighbour or chunk size shows in them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.runner import seed_token
from drex_runtime.model import EarlyExitLlama, confidence
from drex_runtime.policies import SHIPPED
from tests.drex_runtime.engine.cases import TokensAndDepths, generate, model_with
from tests.drex_runtime.model.naive import NaiveDecoder
from tests.scale import scaled

PARAMS = SamplingParams(max_tokens=12, ignore_eos=True)
# Policies under which every ramp is consulted and nobody is forced out.
CONSULTING = [name for name, policy in SHIPPED.items()
              if policy.keeps_exits_voluntary and name not in ("no-exit", "adaptive")]
CONSULTING.append("latency-only")


def prompts_of(vocabulary: int, count: int, longest: int = 20) -> list[list[int]]:
    """Prompts of 0 to `longest` tokens."""
    random = Random(5)
    return [[random.randrange(vocabulary) for _ in range(random.choice((0, 1, random.randint(2, longest))))]
            for _ in range(count)]


def settings_of(random: Random) -> dict[str, int | None]:
    """Resources of a random engine, chunked prefill and narrow batches included."""
    places = random.randint(1, 9)
    return {"max_num_seqs": places, "batch_max": random.randint(1, places),
            "prefill_tokens": random.choice((None, 1, 3, 7, 64))}


class TestAgainstTransformers:
    @staticmethod
    @cache
    def peer() -> LlamaForCausalLM:
        torch.manual_seed(3)
        config = LlamaConfig(vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
                             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
                             initializer_range=0.2, bos_token_id=1, eos_token_id=2)
        model = LlamaForCausalLM(config).eval()
        model.generation_config.eos_token_id = None
        return model.requires_grad_(False)

    def expected(self, prompt: list[int]) -> tuple[int, ...]:
        """Greedy continuation of one prompt by transformers, 12 tokens."""
        ids = torch.tensor([prompt or [1]])
        out = self.peer().generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
                                   pad_token_id=0)
        return tuple(out[0, ids.shape[1]:].tolist())

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        self.peer().save_pretrained(tmp_path)
        return tmp_path

    @pytest.mark.parametrize("ramps", [0, 1, 2])
    def test_greedy_tokens_without_exits(self, folder: Path, ramps: int) -> None:
        from drex_runtime.model import load_model

        prompts = prompts_of(89, scaled(6, 20))
        expected = [self.expected(prompt) for prompt in prompts]
        assert len({tokens[-4:] for tokens in expected}) > 3
        block = {0: None, 1: {"ramps": [2]}, 2: {"ramps": [1, 2]}}[ramps]  # threshold 1: never exits
        model = load_model(folder, early_exit=block)
        random = Random(ramps)
        alone = LLM(model, policy="no-exit", max_num_seqs=1)
        assert [generate(alone, [prompt], PARAMS)[0][0] for prompt in prompts] == expected
        for policy in ("no-exit", "drex", "flush-now", "consensus", "greedy"):
            llm = LLM(model, policy=policy, **settings_of(random))  # type: ignore[arg-type]
            outputs = generate(llm, prompts, PARAMS)
            assert [tokens for tokens, _ in outputs] == expected, policy
            assert {depth for _, depths in outputs for depth in depths} == {ramps + 1}


def naive(model: EarlyExitLlama, prompt: list[int], count: int, fill: str = "share") -> TokensAndDepths:
    """Early-exit decoding of one request, spelled out: prompts at full depth, then greedy tokens."""
    decoder, config = NaiveDecoder(model, fill), model.config
    ids = list(prompt) or [seed_token(config)]
    tokens: list[int] = []
    depths: list[int] = []

    def exits(position: int, ramp: int, logits: torch.Tensor) -> bool:
        sure = float(confidence(logits[None], config.confidence)[0])
        return position >= len(prompt) and sure > config.thresholds[ramp - 1]

    while len(tokens) < count:
        depth, logits, _ = decoder.feed(ids.pop(0) if ids else tokens[-1], exits)
        if not ids:
            tokens.append(int(logits.argmax()))
            depths.append(depth)
    return tuple(tokens), tuple(depths)


@pytest.mark.parametrize("ramps", [1, 2, 3])
def test_exits_agree_with_a_naive_decoder(ramps: int) -> None:
    """Under every policy that consults all ramps, alone and in random batches."""
    model = model_with(ramps, threshold="0.3")
    prompts = prompts_of(model.config.vocab_size, scaled(6, 20), longest=10)
    expected = [naive(model, prompt, PARAMS.max_tokens) for prompt in prompts]
    seen = Counter(depth for _, depths in expected for depth in depths)
    print(f"depths of the naive decoder: {dict(sorted(seen.items()))}")
    assert len(seen) == ramps + 1
    for policy in CONSULTING:
        random = Random(f"{policy} {ramps}")
        # The published DREX may park for 100 decisions; a split at every exit exercises the buffers more.
        for settings in ({}, {"art_factor": 0, "flush_size": 2}) if policy == "drex" else ({},):
            llm = LLM(model, policy=policy, settings=settings, **settings_of(random))  # type: ignore[arg-type]
            assert generate(llm, prompts, PARAMS) == expected, (policy, settings)
            assert not llm.engine.statistics.involuntary_exits
    alone = LLM(model, policy="flush-now", max_num_seqs=1)
    assert [generate(alone, [prompt], PARAMS)[0] for prompt in prompts] == expected


def test_all_exit_and_none_exits() -> None:
    for threshold, depths in (("0", {1, 2}), ("1", {2})):
        model = model_with(1, threshold=threshold)
        prompts = prompts_of(model.config.vocab_size, 5, longest=10)
        for policy in ("drex", "flush-now", "consensus"):
            outputs = generate(LLM(model, policy=policy, max_num_seqs=4), prompts, PARAMS)
            assert {depth for _, found in outputs for depth in found} == depths
            assert outputs == [naive(model, prompt, PARAMS.max_tokens) for prompt in prompts]


def test_sampled_text_does_not_depend_on_the_schedule() -> None:
    model = model_with(2, threshold="0.3")
    prompts = prompts_of(model.config.vocab_size, 8)
    params = SamplingParams(max_tokens=10, temperature=0.9, top_k=20, top_p=0.95, seed=11, ignore_eos=True)
    found = []
    for policy in CONSULTING:
        random = Random(policy)
        llm = LLM(model, policy=policy, **settings_of(random))  # type: ignore[arg-type]
        found.append(generate(llm, prompts, params))
    assert all(other == found[0] for other in found)
    greedy = generate(LLM(model), prompts, PARAMS)
    assert [tokens for tokens, _ in greedy] != [tokens for tokens, _ in found[0]]
