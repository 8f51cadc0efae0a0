"""The reference row: `transformers` generate beside `no-exit` on the same weights, dtype, prompts and lengths."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import torch

from drex_runtime.bench.compare import BASELINE, Tell
from drex_runtime.bench.drive import Contestant, Entry
from drex_runtime.bench.interval import MedianInterval, median_interval
from drex_runtime.bench.metrics import Slo
from drex_runtime.bench.model import BenchModel
from drex_runtime.bench.traffic import synthetic
from drex_runtime.errors import InputError
from drex_runtime.execution.scripted import prompt_of
from drex_runtime.model import save_model
from drex_runtime.policies import shipped_policy
from drex_runtime.records import ServerConfig


@dataclass(frozen=True)
class ReferenceRow:
    """One batch size. Tokens per second are medians over rounds; ratios no-exit / reference per round, their median in
    the interval `ratio_low` to `ratio_high` (`level`: see `MedianInterval`)."""

    batch: int
    prompt_tokens: int
    output_tokens: int
    ours: float
    theirs: float
    ratio: float
    ratio_min: float
    ratio_max: float
    ratio_low: float
    ratio_high: float
    level: float

    @property
    def interval(self) -> MedianInterval:
        """How well `ratio` is known."""
        return MedianInterval(self.ratio_low, self.ratio_high, self.level)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def check_reference() -> None:
    """InputError unless transformers is installed."""
    if importlib.util.find_spec("transformers") is None:
        raise InputError("--reference", "transformers", "not installed", "pip install transformers")


def against_transformers(model: BenchModel, batches: Items[int], *, prompt_tokens: int, output_tokens: int, rounds: int,
                         seed: int, tell: Tell = lambda _: None) -> list[ReferenceRow]:
    """Both on each batch size, interleaved, after a warm-up. Times include the prompt."""
    theirs = _load(model)
    found = []
    for batch in batches:
        work = synthetic(model.model.config.num_segments, Fraction(0), count=batch, prompt_tokens=prompt_tokens,
                         output_tokens=output_tokens, seed=seed, tick="ns")
        entry = Entry(BASELINE, shipped_policy(BASELINE), {})
        ours = Contestant(entry, model.model, ServerConfig(batch, batch))
        ids = torch.tensor([prompt_of(item, seed, model.model.config.vocab_size) for item in work.requests])
        tell(f"transformers, batch {batch}: warm-up")
        ours.run(work, Slo(), seed=seed)
        _generate(theirs, ids, output_tokens)
        mine, other = [], []
        for number in range(rounds):
            tell(f"transformers, batch {batch}: round {number + 1}/{rounds}")
            mine.append(ours.run(work, Slo(), seed=seed).metrics.tokens_per_second)
            other.append(batch * output_tokens / _generate(theirs, ids, output_tokens))
        ratios = [one / two for one, two in zip(mine, other, strict=True)]
        known = median_interval(ratios)
        found.append(ReferenceRow(batch, prompt_tokens, output_tokens, median(mine), median(other), median(ratios),
                                  min(ratios), max(ratios), known.low, known.high, known.level))
    return found


def _load(model: BenchModel) -> Any:
    from transformers import AutoModelForCausalLM  # type: ignore[import-not-found,unused-ignore]
    from transformers.utils import logging  # type: ignore[import-not-found,unused-ignore]

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        raw = {key: value for key, value in model.config.items() if key not in ("early_exit", "dtype", "torch_dtype")}
        save_model(model.model, Path(name), raw, torch.float32)
        return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, local_files_only=True,
                                                    trust_remote_code=False).eval()


@torch.inference_mode()
def _generate(theirs: Any, ids: torch.Tensor, tokens: int) -> float:
    """Seconds of one greedy generate of exactly `tokens` tokens per row."""
    begun = time.perf_counter()
    out = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=tokens,
                          max_new_tokens=tokens, pad_token_id=0)
    spent = time.perf_counter() - begun
    if out.shape[1] != ids.shape[1] + tokens:
        raise InputError("transformers", "tokens", out.shape[1] - ids.shape[1], f"{tokens} tokens per row")
    return spent
