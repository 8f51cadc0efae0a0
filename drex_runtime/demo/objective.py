"""The training objective: next-token loss at the ramps and at full depth, with exits in the loop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.model.confidence import confidence
from drex_runtime.model.llama import EarlyExitLlama
from drex_runtime.model.sequence import SequenceOutput, forward_sequence

RAMP_WEIGHT = 0.7
AGREEMENT_WEIGHT = 0.5
# Full depth at a position that has left is what agreement is measured against, but nobody is served
# by it: it keeps a smaller share of the loss.
COUNTERFACTUAL_WEIGHT = 0.3


@dataclass(frozen=True)
class ExitMix:
    """How often a training batch runs without exits, or with random ones; else confidence decides."""

    full: float = 0.25
    random: float = 0.15
    lowest_threshold: float = 0.2
    highest_threshold: float = 0.95


@dataclass(frozen=True)
class Loss:
    """The scalar to minimise, and its parts in nats per token (detached)."""

    total: Tensor
    deep: Tensor
    ramp: Tensor
    exit_rate: Tensor


class SampledExits:
    """Exit rule of one training batch: per sequence a prompt prefix without exits and one threshold."""

    def __init__(self, mix: ExitMix, kind: str, shape: torch.Size, generator: torch.Generator) -> None:
        batch, length = shape
        draw = torch.rand((), generator=generator).item()
        self.kind = kind
        self.mode = "full" if draw < mix.full else "random" if draw < mix.full + mix.random else "confidence"
        prompt = torch.randint(1, max(2, length // 2), (batch, 1), generator=generator)
        self.free = torch.arange(length).expand(batch, length) >= prompt
        span = mix.highest_threshold - mix.lowest_threshold
        self.threshold = mix.lowest_threshold + span * torch.rand((batch, 1), generator=generator)
        self.noise = torch.rand((batch, length), generator=generator)
        self.rate = torch.rand((batch, 1), generator=generator)

    def __call__(self, ramp: int, logits: Tensor) -> Tensor:
        if self.mode == "full":
            return torch.zeros_like(self.free)
        if self.mode == "random":
            return self.free & (self.noise < self.rate)
        return self.free & (confidence(logits.detach(), self.kind) > self.threshold)


def early_exit_loss(model: EarlyExitLlama, tokens: Tensor, exits: SampledExits) -> Loss:
    """Loss of `tokens[B, T + 1]`: cross entropy at every ramp and at full depth, plus agreement.

    Agreement is the cross entropy of each ramp against the (detached) full-depth distribution at the
    same state, so that a confident ramp is one that full depth would confirm.
    """
    output = forward_sequence(model, tokens[:, :-1], exits)
    targets = tokens[:, 1:].reshape(-1)
    deep_logits = output.deep_logits.flatten(0, 1)
    went_deep = (output.depths == model.config.num_segments).flatten()
    weights = torch.where(went_deep, 1.0, COUNTERFACTUAL_WEIGHT)
    deep = functional.cross_entropy(deep_logits, targets, reduction="none")
    total = (deep * weights).sum() / weights.sum()
    opinion = torch.softmax(deep_logits.detach(), dim=-1)
    ramps = []
    for logits in output.ramp_logits:
        flat = torch.log_softmax(logits.flatten(0, 1), dim=-1)
        ramp = functional.nll_loss(flat, targets)
        agreement = -(opinion * flat).sum(dim=-1).mean()
        total = total + (RAMP_WEIGHT * ramp + AGREEMENT_WEIGHT * agreement) / len(output.ramp_logits)
        ramps.append(ramp.detach())
    return Loss(total, deep.mean().detach(), torch.stack(ramps).mean(), _exit_rate(output, exits))


def _exit_rate(output: SequenceOutput, exits: SampledExits) -> Tensor:
    left = (output.depths <= len(output.ramp_logits)) & exits.free
    return left.sum() / exits.free.sum().clamp(min=1)
