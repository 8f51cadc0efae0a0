"""The card of a demo model: what it was made from, what it is, and what it does on held-out text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drex_runtime.model.config import read_json_object
from drex_runtime.model.errors import ModelError

CARD_FILE = "card.json"
CARD_VERSION = 1
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")
EXIT_RATES = (0.3, 0.7)
LEAST_AGREEMENT = 0.95


@dataclass(frozen=True)
class ThresholdRow:
    """Held-out behaviour under one threshold; rates and agreement are shares, perplexity per token.

    generated_*: greedy continuation of prompts; forced_*: given text; decode tokens only in both.
    """

    threshold: str
    generated_exit_rate: float
    generated_agreement: float
    forced_exit_rate: float
    forced_agreement: float
    exit_perplexity: float

    @property
    def acceptable(self) -> bool:
        """Exits often enough to matter, not so often that depth is useless, and agrees with full depth."""
        low, high = EXIT_RATES
        return low <= self.generated_exit_rate <= high and self.generated_agreement >= LEAST_AGREEMENT


@dataclass(frozen=True)
class Measurement:
    """How much held-out text is measured on (at most): prompts continued greedily, windows of given text."""

    prompts: int = 64
    prompt_tokens: int = 64
    new_tokens: int = 64
    windows: int = 32
    window_tokens: int = 256


@dataclass(frozen=True)
class Card:
    """Everything said about a trained demo model.

    `calibration` is the table the threshold was chosen on; `table` is measured on other held-out
    documents, and it is what is claimed. Corpus sizes are characters per document.
    """

    seed: int
    steps: int
    trained_tokens: int
    seconds: float
    threads: int
    python: str
    torch: str
    tokenizers: str
    machine: str
    parameters: int
    training_loss: float
    ramp_loss: float
    bigram_perplexity: float
    deep_perplexity: float
    exit_perplexity: float
    threshold: str
    accepted: bool
    measurement: Measurement
    table: tuple[ThresholdRow, ...]
    calibration: tuple[ThresholdRow, ...]
    training_documents: Mapping[str, int]
    held_out_documents: Mapping[str, int]
    corpus_sha256: str
    files: Mapping[str, str]

    @property
    def chosen(self) -> ThresholdRow:
        """The row of the shipped threshold."""
        return next(row for row in self.table if row.threshold == self.threshold)

    def as_json(self) -> dict[str, Any]:
        """The card as JSON values."""
        return {"version": CARD_VERSION, **asdict(self)}

    def render(self) -> str:
        """The card for a terminal."""
        measured = self.measurement
        lines = [
            f"demo model: {self.parameters:,} parameters, seed {self.seed}, {self.steps} steps,"
            f" {self.trained_tokens:,} tokens in {self.seconds:.0f} s on {self.threads} thread(s)",
            f"text: Python {self.python}, {len(self.training_documents)} documents"
            f" ({sum(self.training_documents.values()):,} characters) to train,"
            f" {len(self.held_out_documents)} ({sum(self.held_out_documents.values()):,}) held out",
            f"loss at the end: {self.training_loss:.3f} nats per token at full depth, {self.ramp_loss:.3f} at the ramp",
            f"held-out perplexity per token: bigram {self.bigram_perplexity:.1f},"
            f" full depth {self.deep_perplexity:.1f}, with exits {self.exit_perplexity:.1f}",
            f"exits, {measured.prompts} held-out prompts of {measured.prompt_tokens} tokens continued greedily by"
            f" {measured.new_tokens} (given text in brackets):",
            "  threshold  exit rate       agreement       perplexity",
        ]
        for row in self.table:
            mark = "  <- shipped" if row.threshold == self.threshold else ""
            lines.append(
                f"  {row.threshold:<9}  {row.generated_exit_rate:.3f} ({row.forced_exit_rate:.3f})"
                f"   {row.generated_agreement:.3f} ({row.forced_agreement:.3f})   ({row.exit_perplexity:.1f}){mark}"
            )
        verdict = "accepted" if self.accepted else "NOT accepted"
        lines.append(
            f"{verdict}: exit rate {EXIT_RATES[0]}-{EXIT_RATES[1]} and agreement >= {LEAST_AGREEMENT},"
            " perplexities under the bigram's"
        )
        lines.extend(f"sha256 {digest}  {name}" for name, digest in self.files.items())
        return "\n".join(lines)


def write_card(card: Card, folder: Path) -> None:
    """Write `folder/card.json`."""
    (folder / CARD_FILE).write_text(json.dumps(card.as_json(), indent=1) + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """Read `folder/card.json`. Raises ModelError where it is not a card of this version."""
    path = folder / CARD_FILE
    raw = read_json_object(path)
    if raw.pop("version", None) != CARD_VERSION:
        raise ModelError(f"{path}: version must be {CARD_VERSION}")
    try:
        raw["measurement"] = Measurement(**raw["measurement"])
        for name in ("table", "calibration"):
            raw[name] = tuple(ThresholdRow(**row) for row in raw[name])
        return Card(**raw)
    except (TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a demo card: {error}") from error


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of each model file."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MODEL_FILES}
