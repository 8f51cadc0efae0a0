"""Training of the demo model: a few minutes on a processor, the same result from the same steps.

Given the seed, the number of steps, the Python version (whose library is the text), the versions of
torch and tokenizers, the thread count and the processor's instruction set, the weights come out the
same; a different thread count or processor changes the order of float sums and thereby the last bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from drex_runtime.demo.muon import Muon
from drex_runtime.demo.objective import ExitMix, Loss, SampledExits, early_exit_loss
from drex_runtime.model.llama import EarlyExitLlama


@dataclass(frozen=True)
class TrainingPlan:
    """Sizes and rates of one training run. Lengths are tokens; rates are peak learning rates."""

    seed: int = 0
    batch_tokens: int = 1536
    length: int = 128
    long_length: int = 256
    long_share: float = 0.15
    matrix_rate: float = 0.02
    vector_rate: float = 0.004
    warmup_steps: int = 20
    final_rate: float = 0.05
    clip_norm: float = 1.0
    mix: ExitMix = field(default_factory=ExitMix)


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run stands; losses in nats per token, of the last step."""

    step: int
    steps: int
    seconds: float
    loss: float
    deep_loss: float
    ramp_loss: float
    exit_rate: float


@dataclass(frozen=True)
class TrainingResult:
    """What a run did: steps, tokens, seconds and the mean losses of its last twentieth."""

    steps: int
    tokens: int
    seconds: float
    deep_loss: float
    ramp_loss: float


Report = Callable[[TrainingProgress], None]


class Trainer:
    """One run over a token stream; `run` takes a number of steps or a number of seconds."""

    def __init__(self, model: EarlyExitLlama, stream: Tensor, plan: TrainingPlan) -> None:
        self.model = model
        self.stream = stream
        self.plan = plan
        self.generator = torch.Generator().manual_seed(plan.seed)
        # Muon for the matrices of the layers, Adam for embedding, head and norms.
        matrices = [p for p in model.layers.parameters() if p.dim() == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.muon = Muon(matrices)
        self.adam = torch.optim.Adam(others, lr=plan.vector_rate, betas=(0.9, 0.95), eps=1e-10)
        self.tokens = 0

    def run(self, report: Report, steps: int | None = None, seconds: float | None = None) -> TrainingResult:
        """Train for exactly `steps`, or for as many as `seconds` allow at the speed of the first ones.

        A time budget is turned into a step count once, early on, so that schedules know their end.
        """
        started = time.monotonic()
        total = steps if steps is not None else self.plan.warmup_steps * 1000
        recent: list[tuple[float, float]] = []
        step = 0
        while step < total:
            loss = self._step(step, total)
            step += 1
            elapsed = time.monotonic() - started
            recent.append((loss.deep.item(), loss.ramp.item()))
            report(TrainingProgress(step, total, elapsed, loss.total.item(), *recent[-1], loss.exit_rate.item()))
            if steps is None and seconds is not None and step == self.plan.warmup_steps:
                # Long sequences at the end cost more per step than those measured here.
                total = max(step + 1, int(0.9 * seconds / (elapsed / step)))
        tail = recent[-max(1, step // 20) :]
        return TrainingResult(
            steps=step,
            tokens=self.tokens,
            seconds=time.monotonic() - started,
            deep_loss=sum(deep for deep, _ in tail) / len(tail),
            ramp_loss=sum(ramp for _, ramp in tail) / len(tail),
        )

    def _step(self, step: int, total: int) -> Loss:
        plan = self.plan
        rate = _rate(step, total, plan)
        for group in self.adam.param_groups:
            group["lr"] = plan.vector_rate * rate
        length = plan.length if step < (1 - plan.long_share) * total else plan.long_length
        tokens = self._crops(max(1, plan.batch_tokens // length), length)
        exits = SampledExits(plan.mix, self.model.config.confidence, tokens[:, 1:].shape, self.generator)
        loss = early_exit_loss(self.model, tokens, exits)
        self.model.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm)
        self.muon.step(plan.matrix_rate * rate)
        self.adam.step()
        self.tokens += tokens[:, 1:].numel()
        return loss

    def _crops(self, batch: int, length: int) -> Tensor:
        """Random stretches of the stream, `[batch, length + 1]`."""
        starts = torch.randint(0, len(self.stream) - length - 1, (batch, 1), generator=self.generator)
        return self.stream[starts + torch.arange(length + 1)]


def _rate(step: int, total: int, plan: TrainingPlan) -> float:
    """Share of the peak rate: linear warm-up, constant to 40 % of the run, then linear down."""
    warm = min(1.0, (step + 1) / plan.warmup_steps)
    left = (total - step) / (0.6 * total)
    return warm * max(plan.final_rate, min(1.0, left))
