"""Model folders written tensor by tensor, under the names of the formats' own documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.drex_runtime.model.configs import SMALL

D, WIDTH, VOCABULARY, LAYERS = 32, 48, 61, 6
LAYER_SHAPES: dict[str, tuple[int, ...]] = {
    "input_layernorm.weight": (D,),
    "self_attn.q_proj.weight": (32, D),
    "self_attn.k_proj.weight": (16, D),
    "self_attn.v_proj.weight": (16, D),
    "self_attn.o_proj.weight": (D, 32),
    "post_attention_layernorm.weight": (D,),
    "mlp.gate_proj.weight": (WIDTH, D),
    "mlp.up_proj.weight": (WIDTH, D),
    "mlp.down_proj.weight": (D, WIDTH),
}
ATTENTION = ("input_layernorm", "self_attn")
MLP = ("post_attention_layernorm", "mlp")


class Weights:
    """Random tensors of a small Llama by name; deviations like `SMALL` has, so that exits happen."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors: dict[str, Tensor] = {}
        self.add("model.embed_tokens.weight", VOCABULARY, D)
        for index in range(LAYERS):
            self.add_layer(f"model.layers.{index}.")
        self.add("model.norm.weight", D)
        self.add("lm_head.weight", VOCABULARY, D)

    def add(self, name: str, *shape: int) -> None:
        """One tensor: around 1 for norms, around 0 for matrices."""
        noise = torch.randn(shape, generator=self.generator)
        residual = name.endswith(("o_proj.weight", "down_proj.weight"))
        scale = 0.1 if residual else 0.3
        self.tensors[name] = noise * scale if len(shape) > 1 else 1 + 0.2 * noise

    def add_layer(self, prefix: str, parts: tuple[str, ...] = (*ATTENTION, *MLP)) -> None:
        """A decoder layer, or the parts of it whose names begin so."""
        for name, shape in LAYER_SHAPES.items():
            if name.split(".")[0] in parts:
                self.add(prefix + name, *shape)

    def write(self, folder: Path, **config: Any) -> None:
        """config.json (fields of SMALL, some replaced; None removes one) and model.safetensors."""
        save_file(self.tensors, folder / "model.safetensors")
        raw = {name: value for name, value in {**SMALL, **config}.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(raw))
