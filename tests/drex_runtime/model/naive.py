"""One request, one token, one layer, one head at a time: early exit with shared entries, spelled out.

Shares no code with the package beyond reading the weights; slow on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from drex_runtime.model import EarlyExitLlama

Decide = Callable[[int, int, Tensor], bool]
"""(position, ramp from 1, its logits `[V]`) -> leave here?"""


@dataclass
class NaiveDecoder:
    """Entries of one request: per layer a list of (k, v), each `[KV, hd]`, one per position."""

    model: EarlyExitLlama
    entries: list[list[tuple[Tensor, Tensor]]] = field(init=False)

    def __post_init__(self) -> None:
        self.entries = [[] for _ in range(self.model.config.num_layers)]

    def feed(self, token: int, decide: Decide) -> tuple[int, Tensor, Tensor]:
        """Feed one token -> (depth, emitted logits, full-depth logits at the same state)."""
        config = self.model.config
        position = len(self.entries[0])
        weights = dict(self.model.named_parameters())
        x = weights["embed_tokens.weight"][token]
        depth, emitted = config.num_segments, torch.empty(0)
        exit_entry: tuple[Tensor, Tensor] | None = None
        for index in range(config.num_layers):
            x, own = self._layer(weights, index, x, position)
            # Deeper layers see the exit layer's entry; their own is forgotten once this token is done.
            self.entries[index].append(exit_entry if exit_entry is not None else own)
            if index + 1 in config.ramps and exit_entry is None:
                ramp = config.ramps.index(index + 1) + 1
                logits = self._head(weights, x)
                if decide(position, ramp, logits):
                    depth, emitted, exit_entry = ramp, logits, own
        deep = self._head(weights, x)
        return depth, emitted if exit_entry is not None else deep, deep

    def _layer(
        self, weights: Mapping[str, Tensor], index: int, x: Tensor, position: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        config = self.model.config
        w = {
            name: weights[f"layers.{index}.{name}.weight"]
            for name in ("input_norm", "qkv_proj", "o_proj", "post_norm", "gate_up_proj", "down_proj")
        }
        heads, kv, hd = config.num_heads, config.num_kv_heads, config.head_dim
        parts = (w["qkv_proj"] @ self._norm(x, w["input_norm"])).split([heads * hd, kv * hd, kv * hd])
        q, k, v = (part.view(-1, hd) for part in parts)
        q, k = self._turn(q, position), self._turn(k, position)
        past = [*self.entries[index], (k, v)]
        outputs = []
        for head in range(heads):
            group = head // (heads // kv)
            scores = torch.stack([q[head] @ key[group] / math.sqrt(hd) for key, _ in past])
            shares = torch.softmax(scores, dim=0)
            outputs.append(sum((s * value[group] for s, (_, value) in zip(shares, past, strict=True)), torch.zeros(hd)))
        x = x + w["o_proj"] @ torch.cat(outputs)
        gate, up = (w["gate_up_proj"] @ self._norm(x, w["post_norm"])).chunk(2)
        return x + w["down_proj"] @ (gate * torch.sigmoid(gate) * up), (k, v)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return x / torch.sqrt((x * x).mean() + self.model.config.norm_eps) * weight

    def _turn(self, x: Tensor, position: int) -> Tensor:
        half = self.model.config.head_dim // 2
        turned = x.clone()
        for i in range(half):
            angle = position * self.model.config.rope.theta ** (-i / half)
            a, b = x[:, i], x[:, i + half]
            turned[:, i] = a * math.cos(angle) - b * math.sin(angle)
            turned[:, i + half] = b * math.cos(angle) + a * math.sin(angle)
        return turned

    def _head(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return weights["lm_head.weight"] @ self._norm(x, weights["norm.weight"])


def scripted(depths: Sequence[int]) -> Decide:
    """Leave at the ramp that a script gives for each position."""
    return lambda position, ramp, logits: depths[position] == ramp
