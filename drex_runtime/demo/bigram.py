"""A bigram language model with interpolated Kneser-Ney smoothing: what the demo model must beat."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Bigram:
    """Counts of a token stream over V ids, as probabilities (Kneser and Ney, 1995; Chen and Goodman, 1999).

    p(w|v) = max(c(v,w) - D, 0)/c(v) + D * N(v,.)/c(v) * p_c(w), where p_c(w) is the share of distinct
    predecessors of w, mixed with the uniform distribution in the same way, and D = n1 / (n1 + 2 n2).
    """

    def __init__(self, stream: Tensor, vocab_size: int) -> None:
        pairs = stream[:-1] * vocab_size + stream[1:]
        counts = torch.bincount(pairs, minlength=vocab_size * vocab_size).view(vocab_size, vocab_size)
        counts = counts.double()
        once, twice = (counts == 1).sum().item(), (counts == 2).sum().item()
        discount = once / (once + 2 * twice) if once else 0.5
        kinds = (counts > 0).double()
        predecessors = kinds.sum(dim=0)
        total_kinds = predecessors.sum()
        spread = discount * (predecessors > 0).sum() / total_kinds
        continuation = (predecessors - discount).clamp(min=0) / total_kinds + spread / vocab_size
        totals = counts.sum(dim=1, keepdim=True)
        kept = (counts - discount).clamp(min=0) / totals.clamp(min=1)
        followers = kinds.sum(dim=1, keepdim=True)
        backed_off = torch.where(totals > 0, discount * followers / totals.clamp(min=1), 1.0)
        self.log_probability = (kept + backed_off * continuation).log()

    def perplexity(self, before: Tensor, tokens: Tensor) -> float:
        """exp of the mean negative log-likelihood of `tokens`, each given the one in `before`; same shapes."""
        return math.exp(-self.log_probability[before, tokens].mean().item())
