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
    """Entries of one request: per layer a list of (k, v), each `[KV, hd]`, one per position.

    Keys: `layers.0.` and so on for the model's layers, `ramps.0.layer.` for those of ramps.
    `fill`: what deeper layers keep of a token that left: `share`, `propagate`, `recompute`.
    """

    model: EarlyExitLlama
    fill: str = "share"
    entries: dict[str, list[tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def feed(self, token: int, decide: Decide) -> tuple[int, Tensor, Tensor]:
        """Feed one token -> (depth, emitted logits, full-depth logits at the same state)."""
        config, kind = self.model.config, self.model.config.early_exit
        position = len(self.entries.get("layers.0.", ()))
        weights = dict(self.model.named_parameters())
        x = weights["embed_tokens.weight"][token]
        depth, emitted = config.num_segments, torch.empty(0)
        left: tuple[Tensor, tuple[Tensor, Tensor]] | None = None  # state and entry of the exit layer
        for index in range(config.num_layers):
            x, own = self._block(weights, f"layers.{index}.", x, position, left)
            if index + 1 not in config.ramps:
                continue
            ramp = config.ramps.index(index + 1) + 1
            name = f"ramps.{ramp - 1}."
            at_ramp = x
            if kind.layer in ("full", "attention"):
                at_ramp, _ = self._block(weights, f"{name}layer.", x, position, left)
            elif kind.layer == "mlp":
                at_ramp = self._mlp(weights, f"{name}layer.", x)
            if left is None:
                logits = self._head(weights, at_ramp, name)
                if decide(position, ramp, logits):
                    depth, emitted, left = ramp, logits, (x, own)
        deep = self._head(weights, x)
        return depth, emitted if left is not None else deep, deep

    def _block(
        self, weights: Mapping[str, Tensor], name: str, x: Tensor, position: int,
        left: tuple[Tensor, tuple[Tensor, Tensor]] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One layer; if the token has left, the cache keeps its fill: its own entry is forgotten afterwards."""
        out, own = self._layer(weights, name, x, position)
        kept = own
        if left is not None and self.fill == "share":
            kept = left[1]
        elif left is not None and self.fill == "propagate":
            kept = self._qkv(weights, name, left[0], position)[1:]
        self.entries.setdefault(name, []).append(kept)
        return out, own

    def _qkv(
        self, weights: Mapping[str, Tensor], name: str, x: Tensor, position: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        config = self.model.config
        heads, kv, hd = config.num_heads, config.num_kv_heads, config.head_dim
        joint = weights[f"{name}qkv_proj.weight"] @ self._norm(x, weights[f"{name}input_norm.weight"])
        q, k, v = (part.view(-1, hd) for part in joint.split([heads * hd, kv * hd, kv * hd]))
        return self._turn(q, position), self._turn(k, position), v

    def _layer(
        self, weights: Mapping[str, Tensor], name: str, x: Tensor, position: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        config = self.model.config
        heads, kv, hd = config.num_heads, config.num_kv_heads, config.head_dim
        q, k, v = self._qkv(weights, name, x, position)
        past = [*self.entries.get(name, ()), (k, v)]
        outputs = []
        for head in range(heads):
            group = head // (heads // kv)
            scores = torch.stack([q[head] @ key[group] / math.sqrt(hd) for key, _ in past])
            shares = torch.softmax(scores, dim=0)
            outputs.append(sum((s * value[group] for s, (_, value) in zip(shares, past, strict=True)), torch.zeros(hd)))
        x = x + weights[f"{name}o_proj.weight"] @ torch.cat(outputs)
        return self._mlp(weights, name, x), (k, v)

    def _mlp(self, weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
        if f"{name}gate_up_proj.weight" not in weights:
            return x
        normed = self._norm(x, weights[f"{name}post_norm.weight"])
        gate, up = (weights[f"{name}gate_up_proj.weight"] @ normed).chunk(2)
        return x + weights[f"{name}down_proj.weight"] @ (gate * torch.sigmoid(gate) * up)

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

    def _head(self, weights: Mapping[str, Tensor], x: Tensor, ramp: str | None = None) -> Tensor:
        norm, head = "norm.weight", "lm_head.weight"
        if ramp is not None:
            kind = self.model.config.early_exit
            head = f"{ramp}head.weight" if kind.head == "own" else head
            norm = {"own": f"{ramp}norm.weight", "none": "", "shared": norm}[kind.norm]
        return weights[head] @ (self._norm(x, weights[norm]) if norm else x)


def scripted(depths: Sequence[int]) -> Decide:
    """Leave at the ramp that a script gives for each position."""
    return lambda position, ramp, logits: depths[position] == ramp
