"""Sampling parameters of a request, and a token with its log probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import RecordError


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen and when a request ends. temperature 0 = greedy.

    `seed` None: derived from the request's id, so that a run repeats. `stop_token_ids` and the model's eos ids end
    the output and stay in `token_ids`; `ignore_eos` lifts the latter. `logprobs` n: of the token and the n best.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None

    def __post_init__(self) -> None:
        checks = (("max_tokens", self.max_tokens, 1 <= self.max_tokens < 2**31, "an integer of 1 or more"),
                  ("temperature", self.temperature, 0 <= self.temperature <= 100, "a number from 0 to 100"),
                  ("top_k", self.top_k, 0 <= self.top_k < 2**31, "0 (off) or more"),
                  ("top_p", self.top_p, 0 < self.top_p <= 1, "a number above 0, at most 1"),
                  ("seed", self.seed, self.seed is None or 0 <= self.seed < 2**63, "an integer from 0 to 2^63 - 1"),
                  ("logprobs", self.logprobs, self.logprobs is None or 0 <= self.logprobs <= 1000, "0 to 1000"))
        for name, value, good, expected in checks:
            if not good:
                raise RecordError("sampling", name, value, expected)


@dataclass(frozen=True, slots=True)
class Logprob:
    """Log probabilities of one output token at temperature 1: its own, and the best (id, value) pairs."""

    value: float
    best: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A token chosen by some head, not necessarily out yet."""

    token: int
    logprob: Logprob | None = None
