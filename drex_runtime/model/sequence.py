"""Whole sequences through the early-exit model, with shared KV entries in the loop.

A position that exits at ramp r owns no K,V in the segments after r. Deeper layers see, at that
position, K and V of its *exit layer* (the last layer before ramp r). Its own deep states are still
computed here, from its own K,V at its own position over the shared past: that is what full depth
would have said at the same state, and it is seen by no other position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.model.llama import EarlyExitLlama

ExitRule = Callable[[int, Tensor], Tensor]
"""(ramp from 1, its logits `[B, T, V]`) -> which positions may exit there, bool `[B, T]`."""


@dataclass(frozen=True)
class SequenceOutput:
    """Logits `[B, T, V]` of every ramp and of full depth, and the depth `[B, T]` each position took.

    A position of depth s <= K emits from ramp s, one of depth K + 1 from the last logits.
    """

    ramp_logits: tuple[Tensor, ...]
    deep_logits: Tensor
    depths: Tensor


def forward_sequence(model: EarlyExitLlama, tokens: Tensor, exits: ExitRule | None = None) -> SequenceOutput:
    """Teacher-forced forward of `tokens[B, T]` at positions 0..T-1.

    Without `exits` every position runs to the end and no ramp is read (ramp_logits is empty).
    """
    batch, length = tokens.shape
    config = model.config
    positions = torch.arange(length, device=tokens.device).repeat(batch)
    hidden = model.embed(tokens.reshape(-1))
    depths = torch.full((batch, length), config.num_segments, device=tokens.device)
    ramp_logits: list[Tensor] = []
    shared: tuple[Tensor, Tensor] | None = None
    for segment in range(1, config.num_segments + 1):
        skipped = (depths < segment).view(batch, length, 1, 1)
        anyone_left = bool(skipped.any())
        for index in model.segment_layers(segment):
            layer = model.layer(index)
            parts = layer.qkv(hidden, positions)
            query, key, value = (x.view(batch, length, -1, config.head_dim) for x in parts)
            if shared is None or not anyone_left:
                attended = _attend_causal(query, key, value)
            else:
                past = torch.where(skipped, shared[0], key), torch.where(skipped, shared[1], value)
                attended = _attend_split(query, past, (key, value))
            hidden = layer.finish(hidden, attended.reshape(batch * length, -1))
        if exits is not None and segment < config.num_segments:
            logits = model.head_logits(hidden, segment).view(batch, length, -1)
            leaves = exits(segment, logits) & (depths > segment)
            depths = torch.where(leaves, segment, depths)
            mask = leaves.view(batch, length, 1, 1)
            # Positions that left at an earlier ramp keep that ramp's entries; the others hold this
            # layer's until they leave here (or are replaced at the next ramp).
            shared = (
                (key, value)
                if shared is None
                else (
                    torch.where(mask, key, shared[0]),
                    torch.where(mask, value, shared[1]),
                )
            )
            ramp_logits.append(logits)
    deep = model.head_logits(hidden).view(batch, length, -1)
    return SequenceOutput(tuple(ramp_logits), deep, depths)


def _attend_causal(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention of `[B, T, H|KV, hd]`, output `[B, T, H, hd]`."""
    attended = functional.scaled_dot_product_attention(*_head_major(query, key, value), is_causal=True)
    return attended.transpose(1, 2)


def _attend_split(query: Tensor, past: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor]) -> Tensor:
    """Attention to `past` strictly before each position and to `own` at it; shapes as `_attend_causal`."""
    length = query.shape[1]
    square = torch.ones(length, length, dtype=torch.bool, device=query.device)
    mask = torch.cat((square.tril(-1), torch.eye(length, dtype=torch.bool, device=query.device)), dim=1)
    key, value = torch.cat((past[0], own[0]), dim=1), torch.cat((past[1], own[1]), dim=1)
    attended = functional.scaled_dot_product_attention(*_head_major(query, key, value), attn_mask=mask)
    return attended.transpose(1, 2)


def _head_major(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`[B, T, heads, hd]` -> `[B, H, T, hd]`, each KV head repeated for its group of query heads."""
    group = query.shape[2] // key.shape[2]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=2), value.repeat_interleave(group, dim=2)
    return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
