"""Choosing the demo model's threshold on one half of the held-out documents, claiming on the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from drex_runtime.demo.card import Measurement, ThresholdRow
from drex_runtime.demo.corpus import Document
from drex_runtime.demo.vocabulary import token_stream
from drex_runtime.model.llama import EarlyExitLlama
from drex_runtime.model.quality import forced, generated, windows
from drex_runtime.model.tokenizer import Tokenizer

# Dense where a small model, which is rarely sure, takes its exits.
THRESHOLDS = ("0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.4", "0.5", "0.7", "0.9", "1")
# The choice keeps a distance from the limits that the claim must meet, for it is made on other text.
SAFE_RATES = (0.35, 0.65)
SAFE_AGREEMENT = 0.96


@dataclass(frozen=True)
class HeldOutSample:
    """Prompts `[n, P]` to continue by `new_tokens`, and windows `[m, T]` of given text."""

    prompts: Tensor
    new_tokens: int
    text: Tensor

    @property
    def measurement(self) -> Measurement:
        """Its sizes, for the card."""
        (prompts, prompt_tokens), (count, length) = self.prompts.shape, self.text.shape
        return Measurement(prompts, prompt_tokens, self.new_tokens, count, length)


def halves(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Held-out documents to choose on and to claim on, alternating by size so that both get as much."""
    by_size = sorted(documents, key=lambda document: (len(document.text), document.name))
    return by_size[0::2], by_size[1::2]


def draw_sample(documents: Sequence[Document], tokenizer: Tokenizer, sizes: Measurement) -> HeldOutSample:
    """Stretches spread evenly over the documents."""
    stream = token_stream(documents, tokenizer)
    return HeldOutSample(
        prompts=windows(stream, sizes.prompt_tokens, sizes.prompts),
        new_tokens=sizes.new_tokens,
        text=windows(stream, sizes.window_tokens, sizes.windows),
    )


def threshold_table(
    model: EarlyExitLlama,
    sample: HeldOutSample,
    thresholds: Sequence[str] = THRESHOLDS,
    report: Callable[[ThresholdRow], None] = lambda row: None,
) -> tuple[ThresholdRow, ...]:
    """One row per threshold, the same one at every ramp."""
    rows = []
    for text in thresholds:
        values = [float(text)] * len(model.config.ramps)
        continued = generated(model, sample.prompts, sample.new_tokens, values)
        given = forced(model, sample.text, sample.prompts.shape[1], values)
        row = ThresholdRow(
            threshold=text,
            generated_exit_rate=continued.exit_rate,
            generated_agreement=continued.agreement,
            forced_exit_rate=given.counts.exit_rate,
            forced_agreement=given.counts.agreement,
            exit_perplexity=given.perplexity,
        )
        report(row)
        rows.append(row)
    return tuple(rows)


def choose_threshold(table: Sequence[ThresholdRow]) -> str:
    """The threshold nearest to an even split among the safely acceptable ones, then the acceptable ones.

    "1" (no exits) where none is: a model that did not learn to exit must not.
    """
    low, high = SAFE_RATES
    usable = [row for row in table if row.acceptable]
    safe = [
        row for row in usable if low <= row.generated_exit_rate <= high and row.generated_agreement >= SAFE_AGREEMENT
    ]
    candidates = safe or usable
    if not candidates:
        return "1"
    return min(candidates, key=lambda row: abs(row.generated_exit_rate - sum(SAFE_RATES) / 2)).threshold
