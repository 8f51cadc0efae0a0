"""A stated model of exit depths, for traces that have none.

Every token tosses one coin: with probability `persistence` it exits where the token before it did (a request's
first token never does), else its depth is drawn from `rates`. With probability `similarity` a token takes coin and
draw from a sequence common to all requests (by token position) instead of its own: 0 makes requests
independent, 1 makes them alike. The share of each depth is `rates` and the correlation of neighbouring tokens
`persistence`, whatever the similarity. Draws are integers of a seeded PCG64 stream, the same on every platform.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import InputError, RecordError
from drex_runtime.records.numbers import number_text
from drex_runtime.traces.record import Column, Trace

_WHOLE = 2**53
Words = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExitModel:
    """`rates[r-1]`: share of tokens of depth r; the rest has depth K + 1. Exact numbers, so that they print exactly."""

    rates: tuple[Fraction, ...]
    persistence: Fraction = Fraction(0)
    similarity: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) < 0 or sum(self.rates) > 1:
            raise RecordError("exit model", "rates", ", ".join(map(str, self.rates)),
                              "shares of 0 or more whose sum is at most 1")
        for name, value in (("persistence", self.persistence), ("similarity", self.similarity)):
            if not 0 <= value <= 1:
                raise RecordError("exit model", name, value, "a probability")

    @property
    def num_segments(self) -> int:
        """K + 1."""
        return len(self.rates) + 1

    @property
    def description(self) -> str:
        """The model in words, for `Workload.source`."""
        rates = ", ".join(number_text(rate) for rate in self.rates)
        return (f"depths from an exit model: rates per ramp {rates}, persistence {number_text(self.persistence)}, "
                f"similarity {number_text(self.similarity)}")

    def depths(self, tokens: Column, seed: int, prompted: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
        """Depths of all tokens, request after request; `tokens[i]` of request i. The same for the same seed.

        `prompted[i]`: the first token of request i comes from a prefill and gets depth K + 1.
        """
        total, starts = int(tokens.sum()), np.concatenate(([0], np.cumsum(tokens)[:-1]))
        position = np.arange(total) - np.repeat(starts, tokens)
        source = np.random.PCG64(seed)
        shared_coin, shared_draw = _words(source, int(tokens.max())), _words(source, int(tokens.max()))
        alike = _words(source, total) < _threshold(self.similarity)
        coin = np.where(alike, shared_coin[position], _words(source, total))
        draw = np.where(alike, shared_draw[position], _words(source, total))
        renewed = coin >= _threshold(self.persistence)
        renewed[starts] = True
        from_prefill = np.zeros(total, np.bool_)
        if prompted is not None:
            from_prefill[starts[prompted]] = True
            renewed[np.minimum(starts[prompted] + 1, total - 1)] = True
        last_renewal = np.maximum.accumulate(np.where(renewed, np.arange(total), 0))
        shares = np.array([_threshold(sum(self.rates[: r + 1], Fraction(0))) for r in range(len(self.rates))], np.int64)
        found = np.searchsorted(shares, draw, side="right")[last_renewal] + 1
        found[from_prefill] = self.num_segments
        return found.astype(np.int64)

    @classmethod
    def fitted(cls, trace: Trace, similarity: Fraction = Fraction(0)) -> ExitModel:
        """Rates and persistence of a recording's known depths (prefill tokens left out).

        Persistence is (share of equal neighbours - s) / (1 - s), s = the share that independent draws would give.
        InputError if the trace has no known depths. `similarity` is not fitted but stated.
        """
        if trace.recorded is None or trace.num_segments is None:
            raise InputError(trace.name, "depths", "none", "a recording with depths")
        runs = [request.depths[1 if request.prompt_tokens else 0 :] for request in trace.recorded]
        counts = np.bincount([depth for run in runs for depth in run if depth], minlength=trace.num_segments + 1)
        total = int(counts.sum())
        if not total:
            raise InputError(trace.name, "depths", "all unknown", "a recording with known depths")
        rates = tuple(Fraction(int(count), total) for count in counts[1:-1])
        pairs = [(one, other) for run in runs for one, other in pairwise(run) if one and other]
        equal = Fraction(sum(one == other for one, other in pairs), len(pairs)) if pairs else Fraction(0)
        chance = sum((Fraction(int(count), total) ** 2 for count in counts[1:]), Fraction(0))
        persistence = max(Fraction(0), (equal - chance) / (1 - chance)) if chance < 1 else Fraction(0)
        return cls(rates, persistence, similarity)


def _words(source: np.random.PCG64, count: int) -> Words:
    """Uniform integers in [0, 2^53): raw words, whose stream numpy promises to keep."""
    raw: npt.NDArray[np.uint64] = source.random_raw(count)
    return (raw >> np.uint64(11)).astype(np.int64)


def _threshold(share: Fraction) -> int:
    return share.numerator * _WHOLE // share.denominator
