"""What exits cost in quality, per policy, with the model's own thresholds: the papers' claim is not speed alone.

Agreement: share of emitted tokens that full depth would have chosen after the same text. P95 confidence: the value
that 95 % of the tokens that left early exceed, at the ramp they left from.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.bench.drive import Entry
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.observer import Observer
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.model import EarlyExitLlama, confidence
from drex_runtime.model.sequence import forward_sequence
from drex_runtime.records import CostProfile, ServerConfig


@dataclass(frozen=True)
class Quality:
    """One policy. None where no token left early, or nothing was decoded. `drifted_tokens`: other than their ramp's, of
    rows that had to stay (`stay` "deep")."""

    policy: str
    tokens: int
    exit_rate: float
    agreement: float
    p95_confidence: float | None
    involuntary_exits: int
    involuntary_stays: int
    drifted_tokens: int

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class _Confidences(Observer):
    """Confidence of every token that left early, at the ramp it left from."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.left: list[float] = []
        self._seen: dict[Sequence, dict[tuple[int, int], float]] = {}

    def consulted(self, ramp: int, batch: Items[Sequence], logits: Tensor, ready: NDArray[np.bool_]) -> None:
        for sequence, value in zip(batch, confidence(logits, self.kind).tolist(), strict=True):
            self._seen.setdefault(sequence, {})[sequence.emitted, ramp] = value

    def finished(self, sequence: Sequence) -> None:
        own = self._seen.pop(sequence, {})
        self.left += [own[token] for token in enumerate(sequence.depths) if token in own]


def measure_quality(entries: Items[Entry], model: EarlyExitLlama, config: ServerConfig, prompts: Items[Items[int]],
                    output_tokens: int, profile: CostProfile | None = None,
                    kv: KVConfig | None = None, stay: str = "commit") -> list[Quality]:
    """Greedy outputs of every policy for the same prompts, checked against full depth. `kv`, `stay` as for `LLM`."""
    found = []
    for entry in entries:
        llm = LLM(model, policy=entry.policy, settings=entry.settings, max_num_seqs=config.max_num_seqs,
                  batch_max=config.batch_max, prefill_tokens=config.prefill_tokens, profile=profile, kv=kv,
                  stay=stay)
        watcher = _Confidences(llm.engine.exits.kind)
        llm.engine.observers.append(watcher)
        outputs = llm.generate(prompts, SamplingParams(output_tokens, ignore_eos=True))
        agreeing = tokens = 0
        for output in outputs:
            agreeing += _agreeing(model, output.prompt_ids, output.token_ids)
            tokens += len(output.token_ids)
        decoded = [depth for output in outputs for depth in output.depths[1 if output.prompt_ids else 0:]]
        early = sum(depth < model.config.num_segments for depth in decoded)
        p95 = float(np.percentile(watcher.left, 5)) if watcher.left else None
        counted = llm.engine.statistics
        found.append(Quality(entry.name, tokens, early / max(1, len(decoded)), agreeing / max(1, tokens), p95,
                             counted.involuntary_exits, counted.involuntary_stays,
                             counted.drifted_tokens))
    return found


@torch.inference_mode()
def _agreeing(model: EarlyExitLlama, prompt: Items[int], tokens: Items[int]) -> int:
    """How many of `tokens` full depth would choose, each after the text before it."""
    text = torch.tensor([[*prompt, *tokens]])
    best = forward_sequence(model, text).deep_logits[0].argmax(-1)
    start = len(prompt) - 1
    return int((best[start:start + len(tokens)] == text[0, len(prompt):]).sum())
