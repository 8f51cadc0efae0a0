"""Token-by-token greedy decoding with a dense cache: the reference for exits and shared entries.

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
from drex_runtime.model.llama import EarlyExitLlama


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
    """B requests with equally long prompts, at most `capacity` positions each."""

    def __init__(self, model: EarlyExitLlama, batch: int, capacity: int) -> None:
        config = model.config
        shape = (config.num_layers, batch, capacity, config.num_kv_heads, config.head_dim)
        weight = model.embed_tokens.weight
        self._model = model
        self._keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self._values = torch.zeros_like(self._keys)
        self._batch = batch
        self._length = 0

    @torch.inference_mode()
    def prefill(self, prompts: Tensor) -> Tensor:
        """`prompts[B, P]` at full depth -> logits `[B, V]` of the first output token."""
        hidden = self._embed(prompts)
        for index in range(self._model.config.num_layers):
            hidden = self._layer(index, hidden, prompts.shape[1])
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
        for segment in range(1, config.num_segments + 1):
            for index in self._model.segment_layers(segment):
                hidden = self._layer(index, hidden, 1)
            if segment == config.num_segments:
                break
            ramp_logits = self._model.head_logits(hidden, segment)
            sure = confidence(ramp_logits, config.confidence)
            ramps.append((ramp_logits.argmax(dim=-1), sure))
            threshold = thresholds[segment - 1]
            leaves = (sure > threshold) & (depths > segment) & (threshold < 1.0)
            depths = torch.where(leaves, segment, depths)
            logits = torch.where(leaves.unsqueeze(1), ramp_logits, logits) if segment > 1 else ramp_logits
        deep = self._model.head_logits(hidden)
        went_deep = depths == config.num_segments
        logits = torch.where(went_deep.unsqueeze(1), deep, logits) if ramps else deep
        self._share(depths)
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

    def _layer(self, index: int, hidden: Tensor, new: int) -> Tensor:
        """One layer over the `new` positions after the cached ones, whose own entries it caches."""
        config, layer = self._model.config, self._model.layer(index)
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

    def _share(self, depths: Tensor) -> None:
        """Where a row left at ramp r, deeper layers keep its exit layer's entry instead of their own."""
        at = self._length
        for ramp, exit_layers in enumerate(self._model.config.ramps, start=1):
            left = (depths == ramp).view(-1, 1, 1)
            for cache in (self._keys, self._values):
                source = cache[exit_layers - 1, :, at]
                for index in range(exit_layers, self._model.config.num_layers):
                    cache[index, :, at] = torch.where(left, source, cache[index, :, at])
