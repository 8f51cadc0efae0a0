"""Opening a model folder as the commands' options ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.errors import InputError
from drex_runtime.model import EarlyExitLlama, Tokenizer, load_model, read_config


@dataclass(frozen=True)
class OpenedModel:
    """A loaded model with its folder and tokenizer (None if the folder has none)."""

    folder: Path
    model: EarlyExitLlama
    tokenizer: Tokenizer | None


def open_model(folder: Path | None, threshold: str | None = None) -> OpenedModel:
    """The model of `folder` (None: the shipped demo model); `threshold` replaces those of all its ramps."""
    chosen = folder or DEMO_FOLDER
    override = None
    if threshold is not None:
        config = read_config(chosen)
        if not config.ramps:
            raise InputError("--exit-threshold", "threshold", threshold, f"a model with ramps; {chosen} has none")
        override = {**config.early_exit.as_json(), "thresholds": [threshold] * len(config.ramps)}
    tokenizer = Tokenizer.load(chosen) if (chosen / "tokenizer.json").is_file() else None
    return OpenedModel(chosen, load_model(chosen, early_exit=override), tokenizer)
