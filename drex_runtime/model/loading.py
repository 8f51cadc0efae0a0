"""Weights from a Hugging Face folder (safetensors, sharded or not), and back into one.

Names are those of the Hugging Face Llama (of ramps: `model/early_exit.py`); q, k, v and gate, up are joined
on reading and split on writing. Every tensor of the file must be used and every parameter found: a model that
is almost the one asked for is not loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from drex_runtime.model.config import ModelConfig, read_config, read_json_object
from drex_runtime.model.drex_head import read_head
from drex_runtime.model.errors import ModelError
from drex_runtime.model.llama import EarlyExitLlama

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Written by older versions of transformers; the angles follow from config.json.
IGNORED = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq|model\.rotary_emb\.inv_freq")


def load_model(
    folder: Path | str,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    early_exit: Mapping[str, Any] | None = None,
) -> EarlyExitLlama:
    """The model of a folder in one dtype on one device, ready to run (no gradients).

    `early_exit` replaces the block of config.json, e.g. for a checkpoint whose ramps are not
    described there. Raises ModelError naming file and tensor for anything missing, extra or misshapen.
    """
    if dtype not in DTYPES:
        raise ModelError(f"dtype = {dtype}: must be one of {', '.join(DTYPES.values())}")
    folder = Path(folder)
    config = read_config(folder, early_exit)
    with torch.device("meta"):
        model = EarlyExitLlama(config)
    model = model.to(dtype).to_empty(device=device)
    _fill(model, TensorFiles(folder), config, folder)
    return model.requires_grad_(False).eval()


class TensorFiles:
    """The tensors of a folder by name, read one at a time."""

    def __init__(self, folder: Path) -> None:
        self._file_of = {name: path for path in _weight_files(folder) for name in _names(path)}
        self.names = frozenset(self._file_of)
        self.folder = folder

    def read(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """One tensor of the given shape. Raises ModelError where it is missing or shaped otherwise."""
        path = self._file_of.get(name)
        if path is None:
            raise ModelError(f"{self.folder}: tensor {name} is missing")
        with safe_open(path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        if tuple(tensor.shape) != shape:
            raise ModelError(f"{path}: {name} has shape {list(tensor.shape)}: config.json asks for {list(shape)}")
        if tensor.dtype not in DTYPES:
            raise ModelError(f"{path}: {name} is {tensor.dtype}: must be one of {', '.join(DTYPES.values())}")
        return tensor


def _weight_files(folder: Path) -> list[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise ModelError(f"{folder}: neither {SINGLE} nor {INDEX} is there")
    mapping = read_json_object(index).get("weight_map")
    if not isinstance(mapping, dict) or not all(isinstance(file, str) for file in mapping.values()):
        raise ModelError(f"{index}: weight_map must map tensor names to file names")
    names = sorted(set(mapping.values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise ModelError(f"{index}: weight_map names {name!r}, which is not a file of this folder")
    return [folder / name for name in names]


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file: {error}") from error


Parts = list[tuple[str, tuple[int, ...]]]
BALCONY_MODULE = re.compile(r"model\.exit_modules\.(\d+)\..*")


def joined_parts(config: ModelConfig) -> Iterator[tuple[str, Parts]]:
    """Per parameter of the module tree, the tensors of the file that make it up, with their shapes."""
    d = config.hidden_size
    yield "embed_tokens.weight", [("model.embed_tokens.weight", (config.vocab_size, d))]
    for index in range(config.num_layers):
        yield from layer_parts(config, f"layers.{index}.", f"model.layers.{index}.")
    yield "norm.weight", [("model.norm.weight", (d,))]
    if not config.tie_embeddings:
        yield "lm_head.weight", [("lm_head.weight", (config.vocab_size, d))]
    for index in range(len(config.ramps)):
        yield from _ramp_parts(config, index)


def layer_parts(config: ModelConfig, ours: str, theirs: str, which: str = "full") -> Iterator[tuple[str, Parts]]:
    """The parameters under `ours` of a layer, or of one half of it, from the tensors under `theirs`."""
    d, width, traits = config.hidden_size, config.intermediate_size, config.traits
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    attention, mlp = theirs + "self_attn.", theirs + "mlp."
    if which in ("full", "attention"):
        yield ours + "input_norm.weight", [(theirs + "input_layernorm.weight", (d,))]
        if traits.qk_norm:
            yield ours + "q_norm.weight", [(attention + "q_norm.weight", (config.head_dim,))]
            yield ours + "k_norm.weight", [(attention + "k_norm.weight", (config.head_dim,))]
        qkv = [("q_proj", query), ("k_proj", key), ("v_proj", key)]
        yield ours + "qkv_proj.weight", [(f"{attention}{name}.weight", (rows, d)) for name, rows in qkv]
        yield ours + "o_proj.weight", [(attention + "o_proj.weight", (d, query))]
        if traits.qkv_bias:
            yield ours + "qkv_proj.bias", [(f"{attention}{name}.bias", (rows,)) for name, rows in qkv]
        if traits.output_bias:
            yield ours + "o_proj.bias", [(attention + "o_proj.bias", (d,))]
    if which in ("full", "mlp"):
        yield ours + "post_norm.weight", [(theirs + "post_attention_layernorm.weight", (d,))]
        gate_up = [("gate_proj", width), ("up_proj", width)]
        yield ours + "gate_up_proj.weight", [(f"{mlp}{name}.weight", (rows, d)) for name, rows in gate_up]
        yield ours + "down_proj.weight", [(mlp + "down_proj.weight", (d, width))]
        if traits.mlp_bias:
            yield ours + "gate_up_proj.bias", [(f"{mlp}{name}.bias", (rows,)) for name, rows in gate_up]
            yield ours + "down_proj.bias", [(mlp + "down_proj.bias", (d,))]


def _ramp_parts(config: ModelConfig, index: int) -> Iterator[tuple[str, Parts]]:
    """Own parts of the ramp `index` (from 0). Balcony numbers the parts of a module instead of naming them."""
    kind, d = config.early_exit, config.hidden_size
    own = f"early_exit.ramps.{index}."
    names = {"layer": f"{own}layer.", "norm": f"{own}norm.weight", "head": f"{own}head.weight"}
    if kind.modules:
        module, first = f"model.exit_modules.{kind.modules[index]}.", int(kind.layer != "none")
        names = {
            "layer": f"{module}0.",
            "norm": f"{module}{first}.weight",
            "head": f"{module}{first + 1}.weight",
        }
    ours = f"ramps.{index}."
    if kind.layer != "none":
        yield from layer_parts(config, f"{ours}layer.", names["layer"], kind.layer)
    if kind.norm == "own":
        yield f"{ours}norm.weight", [(names["norm"], (d,))]
    if kind.head == "own":
        yield f"{ours}head.weight", [(names["head"], (config.vocab_size, d))]


def _fill(model: EarlyExitLlama, files: TensorFiles, config: ModelConfig, folder: Path) -> None:
    parameters = dict(model.named_parameters())
    used: set[str] = set()
    with torch.no_grad():
        if config.early_exit.head_file is not None:
            head = read_head(folder / config.early_exit.head_file, (config.vocab_size, config.hidden_size))
            for index in range(len(config.ramps)):
                parameters.pop(f"ramps.{index}.head.weight").copy_(head)
        for name, parts in joined_parts(config):
            parameter, row = parameters.pop(name, None), 0
            if parameter is None:  # a head that came from its own file
                continue
            for part, shape in parts:
                parameter[row : row + shape[0]].copy_(files.read(part, shape))
                used.add(part)
                row += shape[0]
    if parameters:
        raise RuntimeError(f"no tensor is known for {', '.join(parameters)}")
    # A tied head may be stored as well; it must then be the embedding.
    if config.tie_embeddings and "lm_head.weight" in files.names:
        used.add("lm_head.weight")
        stored = files.read("lm_head.weight", (config.vocab_size, config.hidden_size))
        if not torch.equal(stored.to(model.head_weight), model.head_weight):
            raise ModelError(
                f"{folder}: lm_head.weight differs from the embedding although tie_word_embeddings is true"
            )
    extra = sorted(name for name in files.names - used if not _may_stay(name, config))
    if extra:
        raise ModelError(f"{folder}: tensor {extra[0]} (one of {len(extra)}) is not part of a {config.family} model")


def _may_stay(name: str, config: ModelConfig) -> bool:
    """Whether a tensor that nothing uses is no mistake: old frequencies, exit modules that were not chosen."""
    module = BALCONY_MODULE.fullmatch(name)
    if module is not None and config.early_exit.modules:
        return int(module[1]) not in config.early_exit.modules
    return IGNORED.fullmatch(name) is not None


def save_model(model: EarlyExitLlama, folder: Path, config_json: Mapping[str, Any], dtype: torch.dtype) -> None:
    """Write config.json and model.safetensors so that `load_model` (and transformers) read them back."""
    parameters = dict(model.named_parameters())
    tensors: dict[str, Tensor] = {}
    for name, parts in joined_parts(model.config):
        sizes = [shape[0] for _, shape in parts]
        for (part, _), tensor in zip(parts, parameters[name].detach().split(sizes), strict=True):
            tensors[part] = tensor.to(dtype).contiguous().clone()
    (folder / SINGLE).write_bytes(save(tensors, metadata={"format": "pt"}))
    (folder / "config.json").write_text(json.dumps(dict(config_json), indent=2) + "\n", encoding="utf-8")
