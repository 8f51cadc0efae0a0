"""The model a benchmark runs: a folder, the demo model, or random weights of a stated shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drex_runtime.commands.model_options import open_model
from drex_runtime.errors import InputError
from drex_runtime.model import EarlyExitLlama, parse_config, random_model
from drex_runtime.model.config import read_json_object

SHAPE_KEYS = {"layers": "num_hidden_layers", "hidden": "hidden_size", "heads": "num_attention_heads",
              "kv_heads": "num_key_value_heads", "intermediate": "intermediate_size", "vocab": "vocab_size",
              "max_positions": "max_position_embeddings"}
WEIGHT_SEED = 0


@dataclass(frozen=True)
class BenchModel:
    """A model, what to call it, its config.json, and whether its weights are random."""

    name: str
    model: EarlyExitLlama
    config: dict[str, Any]
    random: bool


def bench_model(folder: Path | None, shape: str | None, *, who: str = "drex bench") -> BenchModel:
    """`shape` as in `--random-model`, else the folder (None: the demo model). InputError of `who` if both are given."""
    if shape is not None and folder is not None:
        raise InputError(who, "--random-model", shape, "either a model folder or --random-model")
    if shape is None:
        opened = open_model(folder)
        raw = read_json_object(opened.folder / "config.json")
        return BenchModel(opened.folder.name, opened.model, raw, random=False)
    raw = read_json_object(Path(shape)) if shape.endswith(".json") else _config_of(shape)
    return BenchModel(f"random weights, {shape}", random_model(parse_config(raw, shape), WEIGHT_SEED), raw, random=True)


def _config_of(shape: str) -> dict[str, Any]:
    """config.json of `layers=12,hidden=512,ramps=6`: a Llama; what is not said follows from what is."""
    said: dict[str, int] = {}
    ramps: list[int] = []
    for item in shape.split(","):
        key, sign, value = item.strip().partition("=")
        numbers = value.split("+") if key == "ramps" else [value]
        if not sign or key not in (*SHAPE_KEYS, "ramps") or not all(text.isascii() and text.isdigit()
                                                                    for text in numbers):
            raise InputError("--random-model", "shape", item, f"KEY=NUMBER with {', '.join(SHAPE_KEYS)}, or "
                             "ramps=6 (ramps=4+8 for two), separated by commas; or a config.json")
        if key == "ramps":
            ramps = [int(text) for text in numbers]
        else:
            said[key] = int(value)
    layers, hidden = said.get("layers", 12), said.get("hidden", 512)
    heads = said.get("heads", max(1, hidden // 64))
    values = {"layers": layers, "hidden": hidden, "heads": heads, "kv_heads": said.get("kv_heads", heads),
              "intermediate": said.get("intermediate", hidden * 11 // 4), "vocab": said.get("vocab", 8192),
              "max_positions": said.get("max_positions", 4096)}
    chosen = ramps or [max(1, layers // 2)]
    return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-6,
            "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0,
            **{SHAPE_KEYS[key]: value for key, value in values.items()},
            "early_exit": {"ramps": chosen, "thresholds": ["1"] * len(chosen)}}
