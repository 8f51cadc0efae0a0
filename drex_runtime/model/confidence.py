"""How sure a ramp is: one number per row in [0, 1], from raw logits at temperature 1."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from drex_runtime.model.errors import ModelError

CONFIDENCE_KINDS = ("top2", "max", "entropy")


def confidence(logits: Tensor, kind: str = "top2") -> Tensor:
    """Confidence of `logits[rows, V]` as float32 `[rows]`.

    `top2`: largest minus second-largest probability (the rule of DREX); `max`: largest probability;
    `entropy`: 1 - H / ln V. All are 0 for a uniform and 1 for a one-point distribution.
    Raises ModelError for another kind.
    """
    logits = logits.float()
    if kind == "top2":
        best = torch.topk(logits, 2, dim=-1).values
        # exp(best - logsumexp) of two values only: no softmax over V has to be written out.
        probability = (best - torch.logsumexp(logits, dim=-1, keepdim=True)).exp()
        return probability[..., 0] - probability[..., 1]
    if kind == "max":
        return (logits.amax(dim=-1) - torch.logsumexp(logits, dim=-1)).exp()
    if kind == "entropy":
        log_p = torch.log_softmax(logits, dim=-1)
        p = log_p.exp()
        # A masked logit of -inf has p = 0 and contributes nothing, not 0 * -inf = nan.
        entropy = -torch.where(p > 0, p * log_p, torch.zeros_like(p)).sum(dim=-1)
        return 1.0 - entropy / math.log(logits.shape[-1])
    raise ModelError(f"confidence: {kind!r} is not known; one of {', '.join(CONFIDENCE_KINDS)}")


def exit_ready(value: Tensor, threshold: Fraction) -> Tensor:
    """Rows that may leave: confidence strictly above the threshold, as bool `[rows]`.

    The threshold is rounded once to the float32 of the confidence; 1 means never, also when a
    saturated softmax reaches 1 (or one rounding step above it).
    """
    if threshold >= 1:
        return torch.zeros_like(value, dtype=torch.bool)
    return value > float(threshold)
