"""Small model configurations for the tests of this package."""

from __future__ import annotations

from typing import Any

from drex_runtime.model import EarlyExitLlama, ModelConfig, parse_config, random_model

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    # Far from the usual 0.02: logits then differ enough for exits to happen.
    "initializer_range": 0.3,
    "eos_token_id": 0,
    "early_exit": {"ramps": [2, 4], "thresholds": ["0.1", "0.2"]},
}


def small_config(**changes: Any) -> ModelConfig:
    """SMALL with some fields replaced; None removes one."""
    raw = {**SMALL, **changes}
    return parse_config({name: value for name, value in raw.items() if value is not None})


def small_model(seed: int = 0, **changes: Any) -> EarlyExitLlama:
    """A random model of `small_config`, without gradients."""
    return random_model(small_config(**changes), seed).requires_grad_(False)
