"""Choosing the tokens of a batch from a head's logits; one request that makes it fail does not stop the others."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from drex_runtime.execution.params import Choice
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.sampling import Sampler

logger = logging.getLogger("drex_runtime.engine")


def choose(sampler: Sampler, batch: list[Sequence], logits: Tensor) -> None:
    """Pick a token for those of `batch` (rows of `logits[rows, V]`) that have none pending."""
    at = [at for at, sequence in enumerate(batch) if sequence.pending is None]
    if not at:
        return
    if len(at) < len(batch):
        logits = logits[torch.tensor(at, dtype=torch.int64)]
    try:
        chosen = sampler.choose(logits, [batch[place].row for place in at])
    except Exception:  # one request's parameters or logits: find out whose
        logger.exception("no token could be chosen for %d rows at once", len(at))
        chosen = [_choose_alone(sampler, batch[place], logits[row:row + 1]) for row, place in enumerate(at)]
    for place, choice in zip(at, chosen, strict=True):
        batch[place].pending = choice


def _choose_alone(sampler: Sampler, sequence: Sequence, logits: Tensor) -> Choice:
    """A token for one row; if that fails, its request ends with an error where it would have emitted it."""
    try:
        return sampler.choose(logits, [sequence.row])[0]
    except Exception as error:
        logger.exception("request %d: no token could be chosen", sequence.spec.id)
        sequence.error = f"{type(error).__name__}: {error}"
        return Choice(0)
