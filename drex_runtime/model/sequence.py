"""Whole sequences through the early-exit model, with filled KV entries in the loop.

A position that exits at ramp r computes no K,V in the segments after r. What deeper layers see there is
its *fill*: K and V of its exit layer, the last layer before ramp r (`share`); what they make of its exit
state (`propagate`); or what full depth would have written (`recompute`). Its own deep states are still
computed here, from its own K,V at its own position over the shared past: that is what full depth
would have said at the same state, and it is seen by no other position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.model.errors import ModelError
from drex_runtime.model.llama import AttentionHalf, EarlyExitLlama

KV_FILLS = ("share", "propagate", "recompute")
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


def forward_sequence(
    model: EarlyExitLlama, tokens: Tensor, exits: ExitRule | None = None, kv_fill: str = "share"
) -> SequenceOutput:
    """Teacher-forced forward of `tokens[B, T]` at positions 0..T-1; `kv_fill` is one of `KV_FILLS`.

    Without `exits` every position runs to the end and no ramp is read (ramp_logits is empty).
    """
    if kv_fill not in KV_FILLS:
        raise ModelError(f"kv_fill: {kv_fill!r} is not known; one of {', '.join(KV_FILLS)}")
    batch, length = tokens.shape
    config = model.config
    hidden = model.embed(tokens.reshape(-1))
    depths = torch.full((batch, length), config.num_segments, device=tokens.device)
    ramp_logits: list[Tensor] = []
    fill = _Fill(kv_fill, batch, length, tokens.device)
    for segment in range(1, config.num_segments + 1):
        fill.skipped = (depths < segment).view(batch, length, 1, 1)
        for index in model.segment_layers(segment):
            hidden = fill.run(model.layer(index), hidden)
        if exits is not None and segment < config.num_segments:
            layer = model.ramp_attention(segment)
            entries, state = fill.entries, hidden
            if layer is not None:
                state = fill.run(layer, hidden)
            logits = model.head_logits(state, segment).view(batch, length, -1)
            leaves = exits(segment, logits) & (depths > segment)
            depths = torch.where(leaves, segment, depths)
            fill.left(leaves, entries, hidden)
            ramp_logits.append(logits)
    deep = model.head_logits(hidden).view(batch, length, -1)
    return SequenceOutput(tuple(ramp_logits), deep, depths)


class _Fill:
    """Runs layers over all positions, of which some left earlier and have their fill as entries.

    `entries`: K and V `[B, T, KV, hd]` that the latest layer made itself.
    """

    def __init__(self, kind: str, batch: int, length: int, device: torch.device) -> None:
        self.kind = kind
        self.shape = (batch, length)
        self.positions = torch.arange(length, device=device).repeat(batch)
        self.skipped = torch.zeros(batch, length, 1, 1, dtype=torch.bool, device=device)
        self.entries = (torch.empty(0), torch.empty(0))
        self._shared: tuple[Tensor, Tensor] | None = None
        self._states: Tensor | None = None

    def run(self, layer: AttentionHalf, hidden: Tensor) -> Tensor:
        """One layer, attention included: `[B * T, d]` -> the same."""
        batch, length = self.shape
        query, key, value = self._qkv(layer, hidden)
        self.entries = (key, value)
        past = self._past(layer)
        if past is None:
            attended = _attend_causal(query, key, value)
        else:
            seen = torch.where(self.skipped, past[0], key), torch.where(self.skipped, past[1], value)
            attended = _attend_split(query, seen, (key, value))
        return layer.finish(hidden, attended.reshape(batch * length, -1))

    def left(self, leaves: Tensor, entries: tuple[Tensor, Tensor], hidden: Tensor) -> None:
        """Positions `leaves[B, T]` left here: `entries` of their exit layer, `hidden[B * T, d]` their state.

        The others hold this ramp's until they leave (or are replaced at the next ramp).
        """
        mask = leaves.view(*self.shape, 1, 1)
        if self._shared is None or self._states is None:
            self._shared, self._states = entries, hidden
            return
        key, value = (torch.where(mask, new, old) for new, old in zip(entries, self._shared, strict=True))
        self._shared = (key, value)
        self._states = torch.where(leaves.reshape(-1, 1), hidden, self._states)

    def _past(self, layer: AttentionHalf) -> tuple[Tensor, Tensor] | None:
        if self._shared is None or self._states is None or self.kind == "recompute" or not self.skipped.any():
            return None
        return self._shared if self.kind == "share" else self._qkv(layer, self._states)[1:]

    def _qkv(self, layer: AttentionHalf, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (x.view(*self.shape, -1, layer.head_dim) for x in layer.qkv(hidden, self.positions))
        return query, key, value


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
