"""What a request does to logits before a token is chosen: hard masks, bias, penalties. State of one row each.

Formulas: repetition penalty of CTRL (Keskar et al., 2019, section 4.1), presence and frequency penalty as in the
OpenAI API reference.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Items

import torch
from torch import Tensor

from drex_runtime.execution.params import SamplingParams


class RowAdjustments:
    """Masks and bias of a row, and how often each token was seen; ids are valid (`check_vocabulary`)."""

    def __init__(self, params: SamplingParams, prompt_ids: Items[int], output_ids: Items[int],
                 early: Collection[int]) -> None:
        self.params = params
        self.bias_ids = torch.tensor([token for token, _ in params.logit_bias], dtype=torch.int64)
        self.bias = torch.tensor([bias for _, bias in params.logit_bias], dtype=torch.float32)
        self.allowed = _ids(params.allowed_token_ids) if params.allowed_token_ids is not None else None
        self.banned, self.early = _ids(params.banned_token_ids), _ids(early)
        self._prompt_ids, self._output_ids = tuple(prompt_ids), tuple(output_ids)
        self._seen: Tensor | None = None  # [2, V]: count in the output; 1 where in prompt or output

    def seen(self, size: int) -> Tensor:
        """`[2, V]`: how often each token is in the output, and whether it is in prompt or output (0 or 1)."""
        if self._seen is None:
            self._seen = torch.zeros(2, size)
            self._seen[1, _ids(self._prompt_ids)] = 1
            for token in self._output_ids:
                self.count(token)
        return self._seen

    def count(self, token: int) -> None:
        """One more output token."""
        if self._seen is not None:
            self._seen[0, token] += 1
            self._seen[1, token] = 1
        elif self.params.counts:
            self._output_ids = (*self._output_ids, token)

    def mask(self, logits: Tensor, *, early: bool) -> None:
        """Put the forbidden tokens of `logits[V]` to -inf, in place; `early`: before min_tokens."""
        if self.allowed is not None:
            kept = logits[self.allowed]
            logits.fill_(-torch.inf)
            logits[self.allowed] = kept
        if len(self.banned):
            logits[self.banned] = -torch.inf
        if early and len(self.early):
            logits[self.early] = -torch.inf


def adjust(logits: Tensor, rows: Items[RowAdjustments]) -> Tensor:
    """`logits[rows, V]` with bias, then penalties, in float32 and for all rows at once."""
    logits = logits.float()
    places = torch.repeat_interleave(torch.tensor([len(row.bias) for row in rows]))
    logits = logits.index_put((places, torch.cat([row.bias_ids for row in rows])),
                              torch.cat([row.bias for row in rows]), accumulate=True)
    counting = [at for at, row in enumerate(rows) if row.params.counts]
    if not counting:
        return logits
    times, known = torch.stack([rows[at].seen(logits.shape[1]) for at in counting], dim=1)
    wanted = [rows[at].params for at in counting]
    repetition, frequency, presence = torch.tensor(
        [(each.repetition_penalty, each.frequency_penalty, each.presence_penalty) for each in wanted],
        dtype=torch.float32).T.unsqueeze(2)
    place = torch.tensor(counting)
    found = logits[place]
    found = torch.where(known > 0, torch.where(found > 0, found / repetition, found * repetition), found)
    return logits.index_copy(0, place, found - times * frequency - (times > 0) * presence)


def _ids(ids: Collection[int]) -> Tensor:
    return torch.tensor(sorted(set(ids)), dtype=torch.int64)
