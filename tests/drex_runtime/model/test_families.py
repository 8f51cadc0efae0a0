"""Every supported family gives the logits and the greedy tokens of `transformers`, from a real folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from drex_runtime.errors import DrexError
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.model import load_model, parse_config
from drex_runtime.model.sequence import forward_sequence
from tests.drex_runtime.model.configs import SMALL

TOLERANCE = 3e-5  # absolute, float32, of logits with a deviation above 1
NEW_TOKENS = 16
SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
QWEN_ROPE = {"rope_type": "default", "rope_theta": 1_000_000.0}
FAMILIES: dict[str, tuple[type[PreTrainedModel], Any, dict[str, Any]]] = {
    "llama 2": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 4}),
    "llama 3": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "qwen 2": (Qwen2ForCausalLM, Qwen2Config, {"rope_parameters": QWEN_ROPE}),
    "qwen 2.5 tied": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "qwen 3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 16, "rope_parameters": QWEN_ROPE}),
    "qwen 3 with biases": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 12, "attention_bias": True}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "mistral, window of all positions": (MistralForCausalLM, MistralConfig, {"sliding_window": 128, "head_dim": 20}),
}


def peer(name: str) -> PreTrainedModel:
    """A random transformers model of a family, with biases and norms that are not trivial either."""
    model_class, config_class, changes = FAMILIES[name]
    torch.manual_seed(0)
    model = model_class(config_class(**{**SIZES, **changes}))
    model.eval().requires_grad_(False)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape)
        parameter.copy_(0.2 * noise if parameter.dim() > 1 else parameter + 0.1 * noise)
    model.generation_config.eos_token_id = None
    return model


def write_tokenizer(folder: Path) -> None:
    """A word-level tokenizer.json of the models' vocabulary."""
    inner = tokenizers.Tokenizer(models.WordLevel({f"w{i}": i for i in range(97)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_greedy_tokens_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    theirs = peer(name)
    theirs.save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    write_tokenizer(tmp_path)
    tokens = torch.randint(0, 97, (2, 90), generator=torch.Generator().manual_seed(2))
    expected = theirs(tokens).logits
    assert expected.std() > 1
    ours = load_model(tmp_path)
    torch.testing.assert_close(forward_sequence(ours, tokens).deep_logits, expected, atol=TOLERANCE, rtol=1e-5)
    prompts = [[5], [7, 3, 11], tokens[0, :40].tolist()]
    llm = LLM(tmp_path, policy="no-exit", max_num_seqs=2)
    texts = [" ".join(f"w{token}" for token in prompt) for prompt in prompts]
    outputs = llm.generate(texts, SamplingParams(max_tokens=NEW_TOKENS, ignore_eos=True))
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = torch.tensor([prompt])
        out = theirs.generate(  # type: ignore[operator]
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0
        )
        assert list(output.token_ids) == out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("name", ["qwen 2", "qwen 3", "mistral"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    """Not further from float32 than transformers in the same dtype, by half as much again."""
    theirs = peer(name)
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(0, 97, (2, 50), generator=torch.Generator().manual_seed(2))
    exact = theirs(tokens).logits
    ours = forward_sequence(load_model(tmp_path, dtype), tokens).deep_logits
    torch.nn.Module.to(theirs, dtype=dtype)
    reference = (theirs(tokens).logits.float() - exact).abs()
    error = (ours.float() - exact).abs()
    assert error.max() < 1.5 * reference.max() and error.mean() < 1.2 * reference.mean()


def test_checkpoints_stored_in_half_precision_are_read(tmp_path: Path) -> None:
    theirs = peer("qwen 2")
    torch.nn.Module.to(theirs, dtype=torch.bfloat16)
    theirs.save_pretrained(tmp_path)
    exact = Qwen2ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)(torch.arange(20).view(1, 20)).logits
    ours = forward_sequence(load_model(tmp_path), torch.arange(20).view(1, 20)).deep_logits
    torch.testing.assert_close(ours, exact, atol=TOLERANCE, rtol=1e-5)


ACCEPTED: list[dict[str, Any]] = [
    {"model_type": "mistral", "sliding_window": None},
    {"model_type": "mistral", "sliding_window": 64},
    {"model_type": "mistral", "sliding_window": 4096},
    {"model_type": "mistral"},  # transformers takes a window of 4096 there, more than the 64 positions
    {"model_type": "qwen2", "sliding_window": 16, "use_sliding_window": False},
    {"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True},
    {"model_type": "qwen3", "layer_types": ["full_attention"] * 6},
]


@pytest.mark.parametrize("change", ACCEPTED, ids=str)
def test_windows_that_never_cut_are_accepted(change: dict[str, Any]) -> None:
    assert parse_config({**SMALL, **change}).family == change["model_type"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral", "sliding_window": 63}, "sliding_window = 63: must be null or at least max_position"),
        ({"model_type": "mistral", "max_position_embeddings": 32768}, "sliding_window = 4096: must be null or at"),
        ({"model_type": "mistral", "sliding_window": "64"}, "sliding_window = 64: must be null"),
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True}, "sliding_window = 32: must be"),
        ({"model_type": "qwen3", "layer_types": ["full_attention", "sliding_attention"]}, "layer_types = "),
        ({"layer_types": "full_attention"}, "layer_types = full_attention: must be"),
        ({"num_key_value_heads": [2, 2, 1, 2, 2, 2]}, r"num_key_value_heads = \[2, 2, 1, 2, 2, 2\]: must be an int"),
        ({"num_kv_shared_layers": 2}, "num_kv_shared_layers = 2: must be None"),
        ({"no_rope_layers": [1, 1, 0, 1, 1, 0]}, "no_rope_layers = .*: must be None"),
        ({"rope_local_base_freq": 1e4}, "rope_local_base_freq = 10000.0: must be None"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "rope_parameters.full_attention = .*per-l"),
        ({"model_type": "qwen3_moe"}, "model_type = qwen3_moe: must be 'llama' or 'mistral' or .*'qwen3'"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DrexError, match=message):
        parse_config({**SMALL, **change}, "folder/config.json")


def test_the_default_head_size_of_qwen3_is_its_own() -> None:
    assert parse_config({**SMALL, "model_type": "qwen3"}).head_dim == 128
    assert parse_config({**SMALL, "model_type": "qwen2"}).head_dim == 8
