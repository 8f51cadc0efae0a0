"""Choosing tokens from logits: hard masks, bias, penalties, temperature, top-k, top-p, min-p, all rows at once.

The noise of a token is a function of (seed, output index) alone, so that sampled text does not depend on which
launch, which neighbours or which order produced it.
"""

from __future__ import annotations

from collections.abc import Sequence as Items

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.adjustments import RowAdjustments, adjust
from drex_runtime.execution.params import Choice, Logprob, SamplingParams

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seeds: NDArray[np.uint64], counters: NDArray[np.uint64]) -> NDArray[np.float64]:
    """One number in [0, 1) per (seed, counter). SplitMix64 (Steele, Lea, Flood, 2014), seed and counter mixed twice."""
    with np.errstate(over="ignore"):
        state = _mix(_mix(seeds + GOLDEN) + (counters + np.uint64(1)) * GOLDEN)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Sampler:
    """Sampling parameters by row of the engine; a row's are set when it gets its place.

    What is as long as the vocabulary (masks, bias, counts) exists only for rows that ask for it.
    """

    def __init__(self, num_rows: int) -> None:
        self.temperature = np.zeros(num_rows)
        self.top_k = np.zeros(num_rows, dtype=np.int64)
        self.top_p = np.ones(num_rows)
        self.min_p = np.zeros(num_rows)
        self.seed = np.zeros(num_rows, dtype=np.uint64)
        self.counter = np.zeros(num_rows, dtype=np.uint64)  # output index of the row's next token
        self.logprobs = np.full(num_rows, -1, dtype=np.int64)
        self.min_tokens = np.zeros(num_rows, dtype=np.int64)
        self.masked = np.zeros(num_rows, dtype=np.bool_)  # has a hard mask now or before min_tokens
        self.adjusted = np.zeros(num_rows, dtype=np.bool_)
        self._rows: dict[int, RowAdjustments] = {}

    def admit(self, row: int, params: SamplingParams, seed: int, *, prompt_ids: Items[int] = (),
              output_ids: Items[int] = (), stop_ids: frozenset[int] = frozenset()) -> None:
        """The row serves a new request, or one that comes back with `output_ids` already out."""
        self.temperature[row], self.top_k[row], self.top_p[row] = params.temperature, params.top_k, params.top_p
        self.min_p[row], self.min_tokens[row] = params.min_p, params.min_tokens
        self.seed[row], self.counter[row] = seed, len(output_ids)
        self.logprobs[row] = -1 if params.logprobs is None else params.logprobs
        early = stop_ids if params.min_tokens else frozenset()
        self.masked[row] = params.allowed_token_ids is not None or bool(params.banned_token_ids) or bool(early)
        self.adjusted[row] = params.adjusts
        self._rows.pop(row, None)
        if self.masked[row] or self.adjusted[row]:
            self._rows[row] = RowAdjustments(params, prompt_ids, output_ids, early)

    def advance(self, row: int, token: int) -> None:
        """The row's token is out: the noise of its next one is new."""
        self.counter[row] += np.uint64(1)
        if self.adjusted[row]:
            self._rows[row].count(token)

    def mask(self, logits: Tensor, rows: Items[int]) -> Tensor:
        """`logits[rows, V]` with forbidden tokens at -inf: what confidence, log probabilities and choice see.

        Returns the very tensor where no row forbids anything; masking twice changes nothing.
        """
        index = np.asarray(rows, dtype=np.int64)
        masked = np.flatnonzero(self.masked[index])
        if not masked.size:
            return logits
        logits = logits.clone()
        for at in masked.tolist():
            row = int(index[at])
            self._rows[row].mask(logits[at], early=int(self.counter[row]) < self.min_tokens[row])
        return logits

    def _adjust(self, logits: Tensor, index: NDArray[np.int64]) -> Tensor:
        """Bias and penalties of the rows that have any."""
        at = np.flatnonzero(self.adjusted[index])
        if not at.size:
            return logits
        place = torch.from_numpy(at)
        return logits.index_copy(0, place, adjust(logits[place], [self._rows[int(row)] for row in index[at]])
                                 .to(logits.dtype))

    def choose(self, logits: Tensor, rows: Items[int]) -> list[Choice]:
        """A token per row from `logits[rows, V]`; does not advance the rows' counters."""
        index = np.asarray(rows, dtype=np.int64)
        logits = self.mask(logits, rows)
        adjusted = self._adjust(logits, index)
        hot = self.temperature[index] > 0
        tokens = adjusted.argmax(dim=-1).numpy().copy()
        if hot.any():
            tokens[hot] = self._sample(adjusted[torch.from_numpy(hot)], index[hot])
        wanted = self.logprobs[index]
        if (wanted < 0).all():
            return [Choice(token) for token in tokens.tolist()]
        return _with_logprobs(logits, tokens, wanted)

    def _sample(self, logits: Tensor, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of the cumulative distribution over tokens in falling probability, cut by top-k, top-p, min-p."""
        scaled = logits.double() / torch.from_numpy(self.temperature[rows]).unsqueeze(1)
        ordered, tokens = torch.sort(scaled, dim=-1, descending=True, stable=True)
        probability = ordered.softmax(dim=-1)
        size = probability.shape[1]
        top_k = torch.from_numpy(np.where(self.top_k[rows] > 0, self.top_k[rows], size)).unsqueeze(1)
        # top-p applies to what top-k left, as in transformers; the token that crosses p stays.
        probability = probability.masked_fill(torch.arange(size) >= top_k, 0.0)
        probability = probability / probability.sum(dim=-1, keepdim=True)
        before = probability.cumsum(dim=-1) - probability
        probability = probability.masked_fill(before >= torch.from_numpy(self.top_p[rows]).unsqueeze(1), 0.0)
        # min-p: a share of the best token's probability; the best one always stays.
        least = probability[:, :1] * torch.from_numpy(self.min_p[rows]).unsqueeze(1)
        probability = probability.masked_fill(probability < least, 0.0)
        upto = probability.cumsum(dim=-1)
        point = torch.from_numpy(uniforms(self.seed[rows], self.counter[rows])).unsqueeze(1) * upto[:, -1:]
        # Rounding may put the point past the last kept token: never choose one that was cut.
        last = (probability > 0).sum(dim=-1, keepdim=True) - 1
        place = torch.minimum((upto <= point).sum(dim=-1, keepdim=True), last)
        chosen: NDArray[np.int64] = tokens.gather(1, place).squeeze(1).numpy()
        return chosen


def _with_logprobs(logits: Tensor, tokens: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[Choice]:
    values = torch.log_softmax(logits.float(), dim=-1)
    own = values.gather(1, torch.from_numpy(tokens).unsqueeze(1)).squeeze(1).tolist()
    most = min(int(wanted.max()), logits.shape[1])
    best = torch.topk(values, max(most, 1), dim=-1)
    ids, tops = best.indices.tolist(), best.values.tolist()
    return [Choice(token, Logprob(value, tuple(zip(line[:count], top[:count], strict=True))) if count >= 0 else None)
            for token, value, line, top, count in zip(tokens.tolist(), own, ids, tops, wanted.tolist(), strict=True)]
