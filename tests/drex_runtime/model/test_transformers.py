"""Logits agree with `transformers` on random small Llamas, read from the folder that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from drex_runtime.model import load_model
from drex_runtime.model.sequence import forward_sequence

LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "untied, grouped heads": {},
    "tied": {"tie_word_embeddings": True},
    "one head per kv head": {"num_key_value_heads": 4},
    "one kv head": {"num_key_value_heads": 1},
    "llama3 rope": {"rope_parameters": LLAMA3},
    "head_dim apart from hidden size": {"head_dim": 24},
    "biases": {"attention_bias": True, "mlp_bias": True},
}


def peer(**changes: Any) -> LlamaForCausalLM:
    """A random transformers model whose biases and norms are not trivial either."""
    settings: dict[str, Any] = {
        "vocab_size": 97,
        "hidden_size": 64,
        "intermediate_size": 100,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        **changes,
    }
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.eval().requires_grad_(False)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape)
        parameter.copy_(0.2 * noise if parameter.dim() > 1 else parameter + 0.1 * noise)
    return model


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_logits_agree(tmp_path: Path, changes: dict[str, Any]) -> None:
    theirs = peer(**changes)
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(0, 97, (2, 100), generator=torch.Generator().manual_seed(2))
    expected = theirs(tokens).logits
    assert expected.std() > 1
    torch.testing.assert_close(
        forward_sequence(load_model(tmp_path), tokens).deep_logits, expected, atol=2e-5, rtol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(tmp_path: Path, dtype: torch.dtype) -> None:
    theirs = peer()
    theirs.save_pretrained(tmp_path)
    tokens = torch.randint(0, 97, (2, 50), generator=torch.Generator().manual_seed(2))
    exact = theirs(tokens).logits
    ours = forward_sequence(load_model(tmp_path, dtype), tokens).deep_logits
    assert ours.dtype == dtype
    error = (ours.float() - exact).abs().max()
    LlamaForCausalLM.to(theirs, dtype=dtype)
    reference = (theirs(tokens).logits.float() - exact).abs().max()
    assert error < 1.5 * reference


def test_sharded_checkpoints_are_read(tmp_path: Path) -> None:
    theirs = peer()
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")
    assert not (tmp_path / "model.safetensors").exists()
    tokens = torch.arange(20).view(1, 20)
    ours = forward_sequence(load_model(tmp_path), tokens).deep_logits
    torch.testing.assert_close(ours, theirs(tokens).logits, atol=2e-5, rtol=1e-5)
