"""`drex convert-ee-llm`: an EE-LLM or EE-Tuning checkpoint (Megatron) to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_ee_llm(
    source: Annotated[Path, typer.Argument(help="Checkpoint folder, or its iter_NNNNNNN folder.")],
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    exit_layers: Annotated[str | None, typer.Option(help="Exit layers, counted from 1, as in 6,12. Default: those "
                                                    "of the checkpoint.")] = None,
    vocab_size: Annotated[int | None, typer.Option(help="True vocabulary; rows that pad it are dropped.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer.json to copy.")] = None,
) -> None:
    """Join shards and stages, rename tensors, describe the exits in config.json. Nothing in the files is run."""
    from drex_runtime.errors import InputError
    from drex_runtime.model.config import read_config
    from drex_runtime.model.ee_llm import convert_ee_llm as convert

    numbers = None
    if exit_layers is not None:
        parts = exit_layers.split(",")
        if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
            raise InputError("convert-ee-llm", "exit_layers", exit_layers, "layer numbers such as 6,12")
        numbers = [int(part) for part in parts]
    convert(source, out, numbers, vocab_size, tokenizer)
    config = read_config(out)
    print(f"{out}: {config.num_layers} layers, ramps after {', '.join(map(str, config.ramps))}, all closed until "
          "thresholds are chosen (drex calibrate)")
