"""Opening a model folder as the commands' options ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.errors import InputError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.model import EarlyExitLlama, Tokenizer, load_model, read_config
from drex_runtime.model.calibration import read_thresholds


@dataclass(frozen=True)
class OpenedModel:
    """A loaded model with its folder and tokenizer (None if the folder has none)."""

    folder: Path
    model: EarlyExitLlama
    tokenizer: Tokenizer | None


def open_model(folder: Path | None, threshold: str | None = None, thresholds: Path | None = None,
               kv_fill: str = "share") -> OpenedModel:
    """The model of `folder` (None: the shipped demo model).

    `threshold` replaces those of all its ramps; `thresholds` names a file of `drex calibrate` to take them from,
    as chosen for `kv_fill`. Raises InputError where both are given or the model has no ramps.
    """
    chosen = folder or DEMO_FOLDER
    override = None
    if threshold is not None or thresholds is not None:
        config = read_config(chosen)
        option, value = ("--exit-threshold", threshold) if threshold is not None else ("--thresholds", str(thresholds))
        if not config.ramps:
            raise InputError(option, "threshold", value, f"a model with ramps; {chosen} has none")
        if threshold is not None and thresholds is not None:
            raise InputError(option, "threshold", value, "one of --exit-threshold and --thresholds, not both")
        each = [threshold] * len(config.ramps)
        if thresholds is not None:
            each = [*read_thresholds(thresholds, config, kv_fill)]
        override = {**config.early_exit.as_json(), "thresholds": each}
    tokenizer = Tokenizer.load(chosen) if (chosen / "tokenizer.json").is_file() else None
    return OpenedModel(chosen, load_model(chosen, early_exit=override), tokenizer)


def kv_of(model: EarlyExitLlama, max_num_seqs: int, max_model_len: int | None, kv_seqs: int | None,
          kv_fill: str, admission: str = "likely", watermark: float = 0.02, *, prefix_cache: bool = False,
          max_debt: int | None = None) -> KVConfig:
    """The KV pool that the options ask for: room for `kv_seqs` (None: all N) requests of the full length."""
    longest = max_model_len or model.config.max_positions
    return KVConfig(longest, sequences=max_num_seqs if kv_seqs is None else kv_seqs, watermark=watermark,
                    prefix_cache=prefix_cache, max_debt=max_debt,
                    admission=admission, fill=kv_fill)  # type: ignore[arg-type]  # checked there, by name
