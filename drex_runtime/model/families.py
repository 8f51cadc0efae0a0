"""What differs between model families that share the Llama block: one function per family.

A family is a function that reads its config fields into `FamilyTraits` and refuses, by name, what the
engine does not compute: sliding windows, layers of different kinds. Layers, loading and the
full-sequence forward read the traits only. Defaults are those of `transformers` for a missing field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drex_runtime.model.early_exit import BALCONY
from drex_runtime.model.fields import FieldReader

# Fields of relatives of these families that give layers their own rotation or their own KV entries.
PER_LAYER = (
    "no_rope_layers",
    "no_rope_layer_interval",
    "rope_local_base_freq",
    "num_kv_shared_layers",
    "block_configs",
)


@dataclass(frozen=True)
class FamilyTraits:
    """Optional parts of a decoder block, and the head size of a config.json that names none (None: d / heads)."""

    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    default_head_dim: int | None = None


def _llama(fields: FieldReader) -> FamilyTraits:
    _one_kind_of_layer(fields)
    fields.only("sliding_window", (None,), None)
    attention_bias = fields.flag("attention_bias", False)
    return FamilyTraits(
        qkv_bias=attention_bias,
        output_bias=attention_bias,
        mlp_bias=fields.flag("mlp_bias", False),
    )


def _mistral(fields: FieldReader) -> FamilyTraits:
    _one_kind_of_layer(fields)
    # Only a written null means none: transformers takes 4096 where the field is missing.
    window = fields.raw.get("sliding_window") if "sliding_window" in fields.raw else 4096
    _window_covers_everything(fields, window, default_positions=131072)
    return FamilyTraits()


def _qwen2(fields: FieldReader) -> FamilyTraits:
    _one_kind_of_layer(fields)
    _qwen_window(fields)
    return FamilyTraits(qkv_bias=True)


def _qwen3(fields: FieldReader) -> FamilyTraits:
    _one_kind_of_layer(fields)
    _qwen_window(fields)
    attention_bias = fields.flag("attention_bias", False)
    return FamilyTraits(qkv_bias=attention_bias, output_bias=attention_bias, qk_norm=True, default_head_dim=128)


def _qwen_window(fields: FieldReader) -> None:
    if fields.flag("use_sliding_window", False):
        window = fields.raw.get("sliding_window") if "sliding_window" in fields.raw else 4096
        _window_covers_everything(fields, window, default_positions=32768)


def _window_covers_everything(fields: FieldReader, window: object, default_positions: int) -> None:
    """A window at least as long as any sequence is no window. Raises ModelError for a shorter one."""
    positions = fields.count("max_position_embeddings", default_positions)
    if window is not None and (type(window) is not int or window < positions):
        right = f"null or at least max_position_embeddings = {positions} (sliding windows are not supported)"
        raise fields.wrong("sliding_window", window, right)


def _one_kind_of_layer(fields: FieldReader) -> None:
    kinds = fields.raw.get("layer_types")
    if kinds is not None and (not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds)):
        raise fields.wrong("layer_types", kinds, "'full_attention' for every layer (nothing else is supported)")
    for name in PER_LAYER:
        fields.only(name, (None,), None)


FAMILIES: dict[str, Callable[[FieldReader], FamilyTraits]] = {
    "llama": _llama,
    "mistral": _mistral,
    BALCONY: _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
}
