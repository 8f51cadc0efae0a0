"""`drex train-demo`: train the demo model again, from text that ships with Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drex_runtime.demo.train import TrainingProgress


def train_demo(
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    minutes: Annotated[float, typer.Option(help="How long to train; measuring adds a few minutes.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Seed of split, weights, batches and exits.")] = 0,
) -> None:
    """Train an early-exit Llama with KV sharing in the loop, choose its threshold, write model and card."""
    from drex_runtime.commands.generate import print_card
    from drex_runtime.demo import make
    from drex_runtime.progress import progress

    with progress("starting") as show:
        def tell(message: str, step: TrainingProgress | None) -> None:
            show(message or f"training: {step}")

        make.train_demo(out, minutes, seed, tell)
    print_card(out)
    print(out)
