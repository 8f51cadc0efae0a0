"""Token-by-token greedy decoding with a dense cache: the reference for exits and filled entries.

Written to be obviously right, for calibration and for checks: rows advance in lockstep, every layer
is computed for every row, and the depth only decides what is emitted and what the cache keeps. The
engine does the same work without computing or storing what an exit skips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.model.confidence import confidence
from drex_runtime.model.errors import ModelError
from drex_runtime.model.llama import AttentionHalf, EarlyExitLlama
from drex_runtime.model.sequence import KV_FILLS


@dataclass(frozen=True)
class Step:
    """One decode step of B rows; ramps are ordered from the first.

    logits `[B, V]` are those emitted, depths `[B]` where (K + 1: full depth); deep_logits `[B, V]` are
    full depth's at the same state, ramp_tokens and ramp_confidences `[B, K]` what each ramp said.
    """

    logits: Tensor
    depths: Tensor
    deep_logits: Tensor
    ramp_tokens: Tensor
    ramp_confidences: Tensor


class DenseDecoder:
    """B requests with equally long prompts, at most `capacity` positions each; `kv_fill`: see `model/sequence.py`."""

    def __init__(self, model: EarlyExitLlama, batch: int, capacity: int, kv_fill: str = "share") -> None:
        if kv_fill not in KV_FILLS:
            raise ModelError(f"kv_fill: {kv_fill!r} is not known; one of {', '.join(KV_FILLS)}")
        config = model.config
        self._model, self._kv_fill = model, kv_fill
        self._layers: list[AttentionHalf] = [model.layer(index) for index in range(config.num_layers)]
        # Layers of ramps lie behind the model's; `_ramp_layer[ramp]` is the place of that of ramp + 1, if any.
        self._ramp_layer: list[int | None] = []
        for ramp in range(1, len(config.ramps) + 1):
            layer = model.ramp_attention(ramp)
            self._ramp_layer.append(None if layer is None else len(self._layers))
            self._layers += [] if layer is None else [layer]
        shape = (len(self._layers), batch, capacity, config.num_kv_heads, config.head_dim)
        weight = model.embed_tokens.weight
        self._keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self._values = torch.zeros_like(self._keys)
        self._batch = batch
        self._length = 0

    @torch.inference_mode()
    def prefill(self, prompts: Tensor) -> Tensor:
        """`prompts[B, P]` at full depth -> logits `[B, V]` of the first output token."""
        hidden = self._embed(prompts)
        for segment in range(1, self._model.config.num_segments + 1):
            for index in self._model.segment_layers(segment):
                hidden = self._layer(index, hidden, prompts.shape[1])
            self._at_ramp(segment, hidden, prompts.shape[1])
        self._length += prompts.shape[1]
        last = hidden.view(self._batch, prompts.shape[1], -1)[:, -1]
        return self._model.head_logits(last)

    @torch.inference_mode()
    def step(self, tokens: Tensor, thresholds: Sequence[float]) -> Step:
        """Feed `tokens[B]`; a row leaves at the first ramp whose confidence is above its threshold.

        A threshold of 1 or more is never exceeded.
        """
        config = self._model.config
        hidden = self._embed(tokens.unsqueeze(1))
        depths = torch.full((self._batch,), config.num_segments, device=tokens.device)
        logits = torch.empty(0)
        ramps: list[tuple[Tensor, Tensor]] = []
        states: list[Tensor] = []
        for segment in range(1, config.num_segments + 1):
            for index in self._model.segment_layers(segment):
                hidden = self._layer(index, hidden, 1)
            if segment == config.num_segments:
                break
            states.append(hidden)
            ramp_logits = self._model.head_logits(self._at_ramp(segment, hidden, 1), segment)
            sure = confidence(ramp_logits, config.confidence)
            ramps.append((ramp_logits.argmax(dim=-1), sure))
            threshold = thresholds[segment - 1]
            leaves = (sure > threshold) & (depths > segment) & (threshold < 1.0)
            depths = torch.where(leaves, segment, depths)
            logits = torch.where(leaves.unsqueeze(1), ramp_logits, logits) if segment > 1 else ramp_logits
        deep = self._model.head_logits(hidden)
        went_deep = depths == config.num_segments
        logits = torch.where(went_deep.unsqueeze(1), deep, logits) if ramps else deep
        for ramp, state in enumerate(states, start=1):
            self._fill(ramp, (depths == ramp).view(-1, 1, 1), state)
        self._length += 1
        empty = torch.empty(self._batch, 0)
        return Step(
            logits,
            depths,
            deep,
            torch.stack([token for token, _ in ramps], dim=1) if ramps else empty.long(),
            torch.stack([sure for _, sure in ramps], dim=1) if ramps else empty,
        )

    def _embed(self, tokens: Tensor) -> Tensor:
        return self._model.embed(tokens.reshape(-1))

    def _at_ramp(self, segment: int, hidden: Tensor, new: int) -> Tensor:
        """The state through the layer of the ramp after `segment`, whose entries every token writes."""
        place = self._ramp_layer[segment - 1] if segment <= len(self._ramp_layer) else None
        return hidden if place is None else self._layer(place, hidden, new)

    def _layer(self, index: int, hidden: Tensor, new: int) -> Tensor:
        """One layer over the `new` positions after the cached ones, whose own entries it caches."""
        config, layer = self._model.config, self._layers[index]
        positions = torch.arange(self._length, self._length + new, device=hidden.device)
        parts = layer.qkv(hidden, positions.repeat(self._batch))
        query, key, value = (x.view(self._batch, new, -1, config.head_dim) for x in parts)
        end = self._length + new
        self._keys[index, :, self._length : end] = key
        self._values[index, :, self._length : end] = value
        mask = torch.arange(end, device=hidden.device) <= positions.unsqueeze(1)
        group = config.num_heads // config.num_kv_heads
        attended = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            self._keys[index, :, :end].transpose(1, 2).repeat_interleave(group, dim=1),
            self._values[index, :, :end].transpose(1, 2).repeat_interleave(group, dim=1),
            attn_mask=mask,
        )
        return layer.finish(hidden, attended.transpose(1, 2).reshape(self._batch * new, -1))

    def _fill(self, ramp: int, left: Tensor, state: Tensor) -> None:
        """Rows `left[B, 1, 1]` left at `ramp` with `state[B, d]`: deeper layers keep the fill instead of their own."""
        if self._kv_fill == "recompute" or not left.any():
            return
        at, exit_layers = self._length, self._model.config.ramps[ramp - 1]
        positions = torch.full((self._batch,), at, device=state.device)
        deeper = [*range(exit_layers, self._model.config.num_layers)]
        deeper += [place for place in self._ramp_layer[ramp:] if place is not None]
        for index in deeper:
            fill = (self._keys[exit_layers - 1, :, at], self._values[exit_layers - 1, :, at])
            if self._kv_fill == "propagate":
                _, key, value = self._layers[index].qkv(state, positions)
                fill = (key, value)
            for cache, source in zip((self._keys, self._values), fill, strict=True):
                cache[index, :, at] = torch.where(left, source, cache[index, :, at])
