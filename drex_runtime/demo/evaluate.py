"""What the demo model is worth on held-out text: perplexity, exit rate, agreement.

Two views. *Teacher-forced*: the text is given; windows of held-out documents run with shared
entries in the loop, a prefix of each as prompt without exits. *Generation*: held-out prompts are
continued greedily, the model reading its own output, which is what a server does. In both, agreement
is the share of exited tokens whose ramp says what full depth says at the same state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.model.confidence import confidence
from drex_runtime.model.llama import EarlyExitLlama
from drex_runtime.model.sequence import forward_sequence
from drex_runtime.model.stepwise import DenseDecoder


@dataclass(frozen=True)
class ExitCounts:
    """Exits of a number of decode tokens; agreement is 1 where nothing exited."""

    tokens: int
    exited: int
    agreed: int

    @property
    def exit_rate(self) -> float:
        """Exited share of the decode tokens."""
        return self.exited / self.tokens

    @property
    def agreement(self) -> float:
        """Share of the exited tokens that full depth would have emitted too."""
        return self.agreed / self.exited if self.exited else 1.0


@dataclass(frozen=True)
class ForcedResult:
    """Teacher-forced numbers after the prompt; each position is scored by the head that emits it."""

    counts: ExitCounts
    perplexity: float


def windows(stream: Tensor, length: int, most: int | None = None) -> Tensor:
    """Non-overlapping windows `[n, length]` of a stream; at most `most`, spread evenly over it."""
    whole = stream[: len(stream) // length * length].view(-1, length)
    if most is None or len(whole) <= most:
        return whole
    return whole[torch.linspace(0, len(whole) - 1, most).long()]


@torch.inference_mode()
def forced(
    model: EarlyExitLlama, text: Tensor, prompt: int, thresholds: Sequence[float], batch: int = 16
) -> ForcedResult:
    """Score `text[n, T]` after its first `prompt` tokens, which never exit; thresholds 1 are full depth."""
    loss = 0.0
    tokens = exited = agreed = 0
    for rows in text.split(batch):
        inputs, targets = rows[:, :-1], rows[:, 1:]
        free = torch.arange(inputs.shape[1]) >= prompt

        def leaves(ramp: int, logits: Tensor, free: Tensor = free) -> Tensor:
            threshold = thresholds[ramp - 1]
            return (confidence(logits, model.config.confidence) > threshold) & free & (threshold < 1.0)

        output = forward_sequence(model, inputs, leaves)
        emitted = output.deep_logits
        for ramp, logits in enumerate(output.ramp_logits, start=1):
            emitted = torch.where((output.depths == ramp).unsqueeze(-1), logits, emitted)
        left = output.depths <= len(output.ramp_logits)
        same = emitted.argmax(dim=-1) == output.deep_logits.argmax(dim=-1)
        tokens += int(free.sum()) * len(rows)
        exited += int(left.sum())
        agreed += int((left & same).sum())
        scored = emitted[:, prompt:].flatten(0, 1)
        loss += functional.cross_entropy(scored, targets[:, prompt:].flatten(), reduction="sum").item()
    return ForcedResult(ExitCounts(tokens, exited, agreed), math.exp(loss / tokens))


def generated(model: EarlyExitLlama, prompts: Tensor, new_tokens: int, thresholds: Sequence[float]) -> ExitCounts:
    """Continue `prompts[n, P]` greedily by `new_tokens`; the first is the prefill's and not counted."""
    decoder = DenseDecoder(model, len(prompts), prompts.shape[1] + new_tokens)
    current = decoder.prefill(prompts).argmax(dim=-1)
    exited = agreed = 0
    for _ in range(new_tokens - 1):
        step = decoder.step(current, thresholds)
        current = step.logits.argmax(dim=-1)
        left = step.depths < model.config.num_segments
        exited += int(left.sum())
        agreed += int((left & (current == step.deep_logits.argmax(dim=-1))).sum())
    return ExitCounts(len(prompts) * (new_tokens - 1), exited, agreed)
