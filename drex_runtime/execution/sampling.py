"""Choosing tokens from logits: greedy, temperature, top-k, top-p, all rows at once.

The noise of a token is a function of (seed, output index) alone, so that sampled text does not depend on which
launch, which neighbours or which order produced it.
"""

from __future__ import annotations

from collections.abc import Sequence as Items

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """Sampling parameters by row of the engine; a row's are set when it gets its place."""

    def __init__(self, num_rows: int) -> None:
        self.temperature = np.zeros(num_rows)
        self.top_k = np.zeros(num_rows, dtype=np.int64)
        self.top_p = np.ones(num_rows)
        self.seed = np.zeros(num_rows, dtype=np.uint64)
        self.counter = np.zeros(num_rows, dtype=np.uint64)  # output index of the row's next token
        self.logprobs = np.full(num_rows, -1, dtype=np.int64)

    def admit(self, row: int, params: SamplingParams, seed: int) -> None:
        """The row serves a new request."""
        self.temperature[row], self.top_k[row], self.top_p[row] = params.temperature, params.top_k, params.top_p
        self.seed[row], self.counter[row] = seed, 0
        self.logprobs[row] = -1 if params.logprobs is None else params.logprobs

    def choose(self, logits: Tensor, rows: Items[int]) -> list[Choice]:
        """A token per row from `logits[rows, V]`; does not advance the rows' counters."""
        index = np.asarray(rows, dtype=np.int64)
        hot = self.temperature[index] > 0
        tokens = logits.argmax(dim=-1).numpy().copy()
        if hot.any():
            tokens[hot] = self._sample(logits[torch.from_numpy(hot)], index[hot])
        wanted = self.logprobs[index]
        if (wanted < 0).all():
            return [Choice(token) for token in tokens.tolist()]
        return _with_logprobs(logits, tokens, wanted)

    def _sample(self, logits: Tensor, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of the cumulative distribution over tokens in falling probability, cut by top-k and top-p."""
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
