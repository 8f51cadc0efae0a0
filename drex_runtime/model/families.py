"""What differs between model families that share the Llama block: one line per family.

A further family (Qwen2, Qwen3, Mistral) is a function here that reads its config fields into
`FamilyTraits`; layers, loading and the full-sequence forward read the traits only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drex_runtime.model.fields import FieldReader


@dataclass(frozen=True)
class FamilyTraits:
    """Optional parts of a decoder block."""

    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False


def _llama(fields: FieldReader) -> FamilyTraits:
    fields.only("sliding_window", (None,), None)
    fields.only("layer_types", (None,), None)
    attention_bias = fields.flag("attention_bias", False)
    return FamilyTraits(
        qkv_bias=attention_bias,
        output_bias=attention_bias,
        mlp_bias=fields.flag("mlp_bias", False),
    )


FAMILIES: dict[str, Callable[[FieldReader], FamilyTraits]] = {"llama": _llama}
