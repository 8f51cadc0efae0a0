"""What exits do to a model's answers on given text: perplexity, exit rate, agreement, confidence.

Two views. *Given text*: sequences run with filled entries in the loop, a prefix of each as prompt without exits; each
position is scored by the head that emits it. *Generation*: prompts are continued greedily, the model reading its own
output, which is what a server does. In both, agreement is the share of exited tokens whose ramp says what full depth
says at the same state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

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
class TextScore:
    """Given text after its prompts: counts, loss in nats over all tokens, depths' counts, confidences of exits.

    Scores add up over texts. `by_depth[s - 1]`: tokens of depth s.
    """

    counts: ExitCounts = field(default_factory=lambda: ExitCounts(0, 0, 0))
    loss: float = 0.0
    by_depth: tuple[int, ...] = ()
    confidences: Tensor = field(default_factory=lambda: torch.empty(0))

    def __add__(self, other: TextScore) -> TextScore:
        mine, theirs = self.counts, other.counts
        counts = ExitCounts(mine.tokens + theirs.tokens, mine.exited + theirs.exited, mine.agreed + theirs.agreed)
        pairs = zip(self.by_depth or (0,) * len(other.by_depth), other.by_depth, strict=True)
        return TextScore(counts, self.loss + other.loss, tuple(a + b for a, b in pairs),
                         torch.cat((self.confidences, other.confidences)))

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood."""
        return math.exp(self.loss / self.counts.tokens)

    @property
    def p95_confidence(self) -> float | None:
        """The value that 95 % of the exited tokens exceed; None without exits."""
        return float(torch.quantile(self.confidences, 0.05)) if len(self.confidences) else None


def windows(stream: Tensor, length: int, most: int | None = None) -> Tensor:
    """Non-overlapping windows `[n, length]` of a stream; at most `most`, spread evenly over it."""
    whole = stream[: len(stream) // length * length].view(-1, length)
    if most is None or len(whole) <= most:
        return whole
    return whole[torch.linspace(0, len(whole) - 1, most).long()]


@torch.inference_mode()
def forced(model: EarlyExitLlama, text: Tensor, prompt: int, thresholds: Sequence[float], batch: int = 16,
           kv_fill: str = "share") -> TextScore:
    """Score `text[n, T]` after its first `prompt` tokens, which never exit; thresholds 1 are full depth."""
    total = TextScore()
    for rows in text.split(batch):
        inputs, targets = rows[:, :-1], rows[:, 1:]
        free = torch.arange(inputs.shape[1], device=text.device) >= prompt
        taken = torch.zeros(inputs.shape, device=text.device)

        def leaves(ramp: int, logits: Tensor, free: Tensor = free, taken: Tensor = taken) -> Tensor:
            threshold = thresholds[ramp - 1]
            sure = confidence(logits, model.config.confidence)
            mask = (sure > threshold) & free & (threshold < 1.0)
            taken.copy_(torch.where(mask & (taken == 0), sure, taken))
            return mask

        output = forward_sequence(model, inputs, leaves, kv_fill)
        emitted = output.deep_logits
        for ramp, logits in enumerate(output.ramp_logits, start=1):
            emitted = torch.where((output.depths == ramp).unsqueeze(-1), logits, emitted)
        left = output.depths < model.config.num_segments
        same = emitted.argmax(dim=-1) == output.deep_logits.argmax(dim=-1)
        scored = emitted[:, prompt:].flatten(0, 1).float()
        loss = functional.cross_entropy(scored, targets[:, prompt:].flatten(), reduction="sum").item()
        counts = ExitCounts(int(free.sum()) * len(rows), int(left.sum()), int((left & same).sum()))
        depths = torch.bincount(output.depths[:, prompt:].flatten(), minlength=model.config.num_segments + 1)
        total += TextScore(counts, loss, tuple(depths[1:].tolist()), taken[left].cpu())
    return total


def generated(model: EarlyExitLlama, prompts: Tensor, new_tokens: int, thresholds: Sequence[float],
              kv_fill: str = "share") -> ExitCounts:
    """Continue `prompts[n, P]` greedily by `new_tokens`; the first is the prefill's and not counted."""
    decoder = DenseDecoder(model, len(prompts), prompts.shape[1] + new_tokens, kv_fill)
    current = decoder.prefill(prompts).argmax(dim=-1)
    exited = agreed = 0
    for _ in range(new_tokens - 1):
        step = decoder.step(current, thresholds)
        current = step.logits.argmax(dim=-1)
        left = step.depths < model.config.num_segments
        exited += int(left.sum())
        agreed += int((left & (current == step.deep_logits.argmax(dim=-1))).sum())
    return ExitCounts(len(prompts) * (new_tokens - 1), exited, agreed)
