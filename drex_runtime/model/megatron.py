"""Reading a Megatron checkpoint of one iteration: shards joined, layers numbered through.

`iter_%07d/mp_rank_TT[_PPP]/model_optim_rng.pt`: TT tensor-parallel rank, PPP pipeline rank. A file is a dictionary
with `args` (an argparse.Namespace) and `model.language_model`, whose parts are flat dictionaries of tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drex_runtime.model.errors import ModelError
from drex_runtime.model.torch_files import Inert, read_torch_file

FILE = "model_optim_rng.pt"
_RANK = re.compile(r"mp_rank_(\d{2})(?:_(\d{3}))?")
_LAYER = re.compile(r"layers\.(\d+)\.(.+)")
_ROW_PARALLEL = ("self_attention.dense.weight", "mlp.dense_4h_to_h.weight")
_COLUMN_PARALLEL = ("self_attention.query_key_value.weight", "mlp.dense_h_to_4h.weight", "word_embeddings.weight")


@dataclass(frozen=True)
class MegatronCheckpoint:
    """Tensors with their tensor-parallel shards joined; layers and exit outputs in order over all stages.

    `layers[n]`: tensors of layer n (from 0) by the rest of their name. `exit_outputs[p]`: those of stage p.
    `others`: word_embeddings.weight, final_norm.weight, output_layer.weight.
    """

    source: Path
    args: Mapping[str, Any]
    layers: list[dict[str, Tensor]]
    exit_outputs: list[list[Tensor]]
    stage_of_layer: list[int]
    others: dict[str, Tensor]


def find_iteration(path: Path) -> Path:
    """The folder with the mp_rank folders: `path`, or the iteration it names as its latest. Raises ModelError."""
    if any(path.glob("mp_rank_*")):
        return path
    latest = path / "latest_checkpointed_iteration.txt"
    name = latest.read_text(encoding="utf-8").strip() if latest.is_file() else ""
    folder = path / (f"iter_{int(name):07d}" if name.isascii() and name.isdigit() else name)
    if not name or folder.parent != path or not any(folder.glob("mp_rank_*")):
        raise ModelError(f"{path}: no mp_rank_* folder here, and no {latest.name} that names an iteration with one")
    return folder


def read_megatron(path: Path) -> MegatronCheckpoint:
    """Read and join everything. Raises ModelError naming the file and the tensor or field."""
    folder = find_iteration(path)
    ranks = _ranks(folder)
    stages = 1 + max(stage for _, stage in ranks)
    shards = 1 + max(rank for rank, _ in ranks)
    args: Mapping[str, Any] = {}
    layers: list[dict[str, Tensor]] = []
    exit_outputs: list[list[Tensor]] = []
    stage_of_layer: list[int] = []
    others: dict[str, Tensor] = {}
    for stage in range(stages):
        files = []
        for rank in range(shards):
            if (rank, stage) not in ranks:
                raise ModelError(f"{folder}: the shard of tensor rank {rank}, pipeline rank {stage} is missing")
            files.append(ranks[rank, stage])
        contents = [_content(file) for file in files]
        args = contents[0][0] if not stage else args
        joined = _joined([flat for _, flat in contents], files[0], bool(args.get("swiglu", True)))
        numbered = _take_layers(joined, files[0])
        layers += numbered
        stage_of_layer += [stage] * len(numbered)
        exits = sorted((int(name.split(".")[1]), name) for name in joined if name.startswith("exit_output_layer."))
        exit_outputs.append([joined.pop(name) for _, name in exits])
        others.update(joined)
    return MegatronCheckpoint(folder, args, layers, exit_outputs, stage_of_layer, others)


def _ranks(folder: Path) -> dict[tuple[int, int], Path]:
    found = {}
    for entry in folder.glob("mp_rank_*"):
        match = _RANK.fullmatch(entry.name)
        if match is None:
            raise ModelError(f"{entry}: must be named mp_rank_TT or mp_rank_TT_PPP")
        found[int(match[1]), int(match[2] or 0)] = entry / FILE
    return found


def _content(file: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """(fields of args, tensors of the language model under flat names) of one file."""
    content = read_torch_file(file, stubs=True)
    args = content.get("args") if isinstance(content, dict) else None
    fields = args.state if isinstance(args, Inert) else args
    model = content.get("model") if isinstance(content, dict) else None
    language = model.get("language_model") if isinstance(model, dict) else None
    if not isinstance(language, dict):
        if isinstance(content, dict) and "model0" in content:
            raise ModelError(f"{file}: model0: virtual pipeline stages are not supported")
        raise ModelError(f"{file}: model.language_model is missing")
    flat: dict[str, Tensor] = {}
    for part, values in language.items():
        # `encoder`'s and `embedding`'s contents have names of their own; output_layer and exit_output_layer do not.
        prefix = "" if part in ("encoder", "transformer", "embedding") else f"{part}."
        _flatten(prefix, values, flat, file)
    return fields if isinstance(fields, dict) else {}, flat


def _flatten(prefix: str, values: object, into: dict[str, Tensor], file: Path) -> None:
    if isinstance(values, Tensor):
        into[prefix.rstrip(".")] = values
    elif isinstance(values, dict):
        for name, value in values.items():
            _flatten(f"{prefix}{name}.", value, into, file)
    elif values is not None and not isinstance(values, Inert):
        raise ModelError(f"{file}: {prefix.rstrip('.')} is {type(values).__name__}, not a tensor")


def _joined(parts: list[dict[str, Tensor]], file: Path, gated: bool) -> dict[str, Tensor]:
    out = {}
    for name in parts[0]:
        missing = next((rank for rank, part in enumerate(parts) if name not in part), None)
        if missing is not None:
            raise ModelError(f"{file}: {name} is not in the file of tensor rank {missing}")
        out[name] = _join(name, [part[name] for part in parts], file, gated)
    return out


def _join(name: str, shards: list[Tensor], file: Path, gated: bool) -> Tensor:
    if len(shards) == 1:
        return shards[0]
    if name.endswith(_ROW_PARALLEL):
        return torch.cat(shards, dim=1)
    if gated and name.endswith("mlp.dense_h_to_4h.weight"):
        # Each rank holds its part of the gate, then its part of the up projection.
        halves = [shard.chunk(2) for shard in shards]
        return torch.cat([half[which] for which in (0, 1) for half in halves])
    if name.endswith(_COLUMN_PARALLEL) or name.startswith(("output_layer.", "exit_output_layer.")):
        return torch.cat(shards)
    if any(not torch.equal(shards[0], other) for other in shards[1:]):
        raise ModelError(f"{file}: {name} differs between tensor ranks, and it is none of those that are split")
    return shards[0]


def _take_layers(tensors: dict[str, Tensor], file: Path) -> list[dict[str, Tensor]]:
    """Remove the layers from `tensors` and return them in order."""
    layers: dict[int, dict[str, Tensor]] = {}
    for name in list(tensors):
        if (match := _LAYER.fullmatch(name)) is not None:
            layers.setdefault(int(match[1]), {})[match[2]] = tensors.pop(name)
    if sorted(layers) != list(range(len(layers))):
        raise ModelError(f"{file}: layers {sorted(layers)} are not numbered from 0 without gaps")
    return [layers[number] for number in range(len(layers))]
