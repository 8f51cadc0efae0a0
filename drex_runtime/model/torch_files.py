"""Reading `torch.save` files without running anything that is in them.

torch's weights-only unpickler builds tensors and plain containers and refuses every other name. Training
checkpoints hold more (argparse.Namespace, numpy states, enums): each such name is bound to an inert stub that
keeps its state as data and has no code of its own.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from drex_runtime.model.errors import ModelError


class Inert:
    """Stands for an object of a class that is not loaded: whatever it is made from is kept, nothing is run."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __new__(cls, *arguments: Any) -> Inert:
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_torch_file(path: Path, stubs: bool = False) -> Any:
    """Contents of a zip file by `torch.save`, on the CPU; with `stubs`, unknown classes become `Inert`.

    Raises ModelError where the file is missing, broken, of the format before torch 1.6, or (without stubs) holds
    anything but tensors and plain containers.
    """
    if not path.is_file():
        raise ModelError(f"{path}: is not a file")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: must be a zip file as torch.save writes since torch 1.6")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path)) if stubs else []
        allowed = [(type(name.rpartition(".")[2], (Inert,), {}), name) for name in names]
        with torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: cannot be read as tensors: {reason}") from error
