"""DREX head files: one early-exit head `[V, d]`, trained apart from its model, saved by `torch.save`.

The file is a dictionary whose `early_exit_head_state_dict` holds `weight`; the head reads the state after the
model's final norm and is the same at every ramp (artifact of arXiv 2512.15705).
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from drex_runtime.model.errors import ModelError
from drex_runtime.model.torch_files import read_torch_file

KEY = "early_exit_head_state_dict"


def read_head(path: Path, shape: tuple[int, int]) -> Tensor:
    """The head's weight, `shape` = (V, d). Raises ModelError naming file and key."""
    content = read_torch_file(path)
    state = content.get(KEY) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f"{path}: {KEY} is missing or no dictionary")
    unknown = sorted(str(name) for name in state if name != "weight")
    if unknown:
        raise ModelError(f"{path}: {KEY}.{unknown[0]} is not part of a DREX head, which has one tensor, weight")
    weight = state.get("weight")
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        raise ModelError(f"{path}: {KEY}.weight is missing or no floating-point tensor")
    if tuple(weight.shape) != shape:
        raise ModelError(f"{path}: {KEY}.weight has shape {list(weight.shape)}: config.json asks for {list(shape)}")
    return weight
