"""Sampling parameters of a request, validated in one place, and a token with its log probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from drex_runtime.errors import RecordError

MOST_N = 128
MOST_LOGPROBS = 1000
MOST_STOPS, LONGEST_STOP = 16, 256
MOST_IDS = 1024
"""Entries of logit_bias, stop_token_ids, banned_token_ids; allowed_token_ids may name the whole vocabulary."""
MOST_SEEDS = 2**63
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: spreads seeds that are counted up
LONGEST_TARGET_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen and when a request ends. temperature 0 = greedy.

    Order of work on a head's logits: hard masks (`allowed_token_ids`, `banned_token_ids`, stop tokens before
    `min_tokens`), confidence, `logit_bias`, repetition, frequency and presence penalty, temperature, top-k, top-p,
    min-p. `repetition_penalty` counts prompt and output, the other two output only. `logprobs` n: of the token and
    of the n best, after hard masks, at temperature 1.

    `seed` None: derived from the engine's seed and the request's number, so that a run repeats. `n` sequences of one
    prompt get seeds derived from `seed` and the choice's index (`choice`). `stop_token_ids` and the model's eos ids end
    the output and stay in `token_ids`; `ignore_eos` lifts the latter. `stop` strings end it too; they and a stop
    token's text are shown only with `include_stop_str_in_output`, and are not looked for in the first `min_tokens`
    tokens.

    `exit_threshold` replaces the ramps' own for this request (1: never exits). `deadline_ms` from arrival to the last
    token, `ttft_ms` to the first, `tpot_ms` for each further one: due dates that a policy may look at.

    Raises RecordError naming field, value and what is accepted; NaN and infinities are never accepted.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed_token_ids: tuple[int, ...] | None = None
    banned_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    include_stop_str_in_output: bool = False
    n: int = 1
    exit_threshold: float | None = None
    deadline_ms: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None

    def __post_init__(self) -> None:
        integers = (("max_tokens", self.max_tokens, 1, 2**31 - 1), ("top_k", self.top_k, 0, 2**31 - 1),
                    ("seed", self.seed, 0, MOST_SEEDS - 1), ("logprobs", self.logprobs, 0, MOST_LOGPROBS),
                    ("min_tokens", self.min_tokens, 0, self.max_tokens), ("n", self.n, 1, MOST_N))
        for name, value, low, high in integers:
            optional = value is None and name in ("seed", "logprobs")
            if not optional and not (_is_integer(value) and low <= value <= high):  # type: ignore[operator]
                shown = "max_tokens" if name == "min_tokens" else str(high)
                raise RecordError("sampling", name, value, f"an integer from {low} to {shown}")
        numbers = (("temperature", self.temperature, 0.0, 100.0), ("min_p", self.min_p, 0.0, 1.0),
                   ("presence_penalty", self.presence_penalty, -2.0, 2.0),
                   ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
                   ("exit_threshold", self.exit_threshold, 0.0, 1.0))
        for name, number, least, most in numbers:
            if not (number is None and name == "exit_threshold") and not _is_within(number, least, most):
                raise RecordError("sampling", name, number, f"a number from {least:g} to {most:g}")
        positive = (("top_p", self.top_p, 1.0), ("repetition_penalty", self.repetition_penalty, 100.0),
                    *((name, getattr(self, name), float(LONGEST_TARGET_MS))
                      for name in ("deadline_ms", "ttft_ms", "tpot_ms")))
        for name, number, most in positive:
            if number is None and name.endswith("_ms"):
                continue
            if not _is_within(number, 0.0, most) or number == 0:
                raise RecordError("sampling", name, number, f"a number above 0, at most {most:g}")
        self._check_lists()

    def _check_lists(self) -> None:
        for name, ids in (("stop_token_ids", self.stop_token_ids), ("banned_token_ids", self.banned_token_ids),
                          ("logit_bias", tuple(token for token, _ in self.logit_bias))):
            if len(ids) > MOST_IDS:
                raise RecordError("sampling", name, f"{len(ids)} entries", f"at most {MOST_IDS}")
        for token, bias in self.logit_bias:
            if not _is_within(bias, -100.0, 100.0):
                raise RecordError("sampling", f"logit_bias.{token}", bias, "a number from -100 to 100")
        if len({token for token, _ in self.logit_bias}) < len(self.logit_bias):
            raise RecordError("sampling", "logit_bias", "a token twice", "each token once")
        if len(self.stop) > MOST_STOPS:
            raise RecordError("sampling", "stop", f"{len(self.stop)} strings", f"at most {MOST_STOPS}")
        for text in self.stop:
            if not isinstance(text, str) or not 1 <= len(text) <= LONGEST_STOP:
                raise RecordError("sampling", "stop", text, f"strings of 1 to {LONGEST_STOP} characters")
        for name, flag in (("ignore_eos", self.ignore_eos),
                           ("include_stop_str_in_output", self.include_stop_str_in_output)):
            if not isinstance(flag, bool):
                raise RecordError("sampling", name, flag, "true or false")

    def check_vocabulary(self, size: int, stop_ids: Collection[int] = ()) -> None:
        """Check every token id against the model's vocabulary, and that the hard masks leave a token to choose.

        `stop_ids`: what `min_tokens` bans at first. Raises RecordError.
        """
        lists = (("stop_token_ids", self.stop_token_ids), ("allowed_token_ids", self.allowed_token_ids or ()),
                 ("banned_token_ids", self.banned_token_ids),
                 ("logit_bias", tuple(token for token, _ in self.logit_bias)))
        for name, ids in lists:
            if len(ids) > size:
                raise RecordError("sampling", name, f"{len(ids)} entries", f"at most the vocabulary's {size}")
            for token in ids:
                if not _is_integer(token) or not 0 <= token < size:
                    raise RecordError("sampling", name, token, f"token ids from 0 to {size - 1}")
        banned = set(self.banned_token_ids) | (set(stop_ids) if self.min_tokens else set())
        left = size - len(banned) if self.allowed_token_ids is None else len(set(self.allowed_token_ids) - banned)
        if left < 1:
            raise RecordError("sampling", "allowed_token_ids", self.allowed_token_ids,
                              "at least one token that is neither banned nor a stop token before min_tokens")

    def choice(self, index: int) -> SamplingParams:
        """Parameters of one of the n sequences: choice 0 keeps the seed, the others get their own."""
        seed = self.seed
        if seed is not None and index:
            seed = (seed + index * GOLDEN) % MOST_SEEDS
        return replace(self, n=1, seed=seed)

    def seeded(self, seed: int) -> SamplingParams:
        """The same with this seed, if they have none of their own."""
        return replace(self, seed=seed) if self.seed is None else self

    def due_dates(self, arrival: int, ticks_per_second: int) -> tuple[int | None, int | None, int | None]:
        """(`due`, `ttft`, `tpot`) of a `Request` that arrives at `arrival`: a time and two durations, in ticks."""
        due, ttft, tpot = (None if value is None else max(1, math.floor(value * ticks_per_second / 1000))
                           for value in (self.deadline_ms, self.ttft_ms, self.tpot_ms))
        return None if due is None else arrival + due, ttft, tpot

    @property
    def adjusts(self) -> bool:
        """Whether logits are changed between confidence and choice."""
        return bool(self.logit_bias) or self.counts

    @property
    def counts(self) -> bool:
        """Whether the choice depends on the tokens so far."""
        return self.presence_penalty != 0 or self.frequency_penalty != 0 or self.repetition_penalty != 1


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_within(value: object, low: float, high: float) -> bool:
    """False for NaN, as every comparison with it is."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


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
