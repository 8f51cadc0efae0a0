"""Requests on their way through the engine: state in flight, what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from drex_runtime.execution.params import Choice, Logprob, SamplingParams
from drex_runtime.records.workload import Request
from drex_runtime.scheduling.pools import NO_DATES, Dates

FinishReason = Literal["stop", "length", "abort", "error"]


@dataclass(eq=False, slots=True)
class Sequence:
    """One request in the engine.

    `spec` is its record (scripted depths, or full depth assumed, for due dates and the scheduler), `index` its place
    in submission order, `row` its row of the hidden-state buffer (-1: no place), `admitted` the number of the admission
    that gave it its place, `dates` what its next token has to meet (set as it enters a pool). `prompt_keys` are the
    prefix cache's (None: not asked for), `cached` the prompt tokens it held when the request first got a place (None:
    that is to come). `latched`: the ramp at which the running token became ready (0: none), `pending` what that ramp
    chose, `stamped` a RELEASE's time, `offered` what a ramp would have emitted had the row not had to stay (`stay`
    "deep"). `lost`: inputs after the prompt whose K and V a preemption took and which are still to be replayed.
    `error`: what went wrong where `finished` is "error".
    """

    index: int
    spec: Request
    params: SamplingParams
    prompt_ids: tuple[int, ...]
    scripted: bool = False
    stop_ids: frozenset[int] = frozenset()
    row: int = -1
    admitted: int = -1
    dates: Dates = NO_DATES
    prompt_keys: tuple[bytes, ...] | None = None
    cached: int | None = None
    prefilled: int = 0
    lost: int = 0
    latched: int = 0
    stamped: int = -1
    pending: Choice | None = None
    offered: int | None = None
    last: int = 0
    finished: FinishReason | None = None
    error: str | None = None
    output_ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)

    @property
    def emitted(self) -> int:
        """Output tokens so far."""
        return len(self.output_ids)

    @property
    def is_prefilled(self) -> bool:
        """Whether no prompt token is left to process, and nothing to replay."""
        return self.prefilled == self.spec.prompt_tokens and not self.lost

    @property
    def unprocessed(self) -> int:
        """Prompt tokens to process and inputs to replay before the request can decode."""
        return self.spec.prompt_tokens - self.prefilled + self.lost

    @property
    def past_inputs(self) -> int:
        """Inputs after the prompt that have been processed: each but the latest output, and the seed token."""
        return self.emitted if not self.spec.prompt_tokens else max(self.emitted - 1, 0)

    @property
    def positions(self) -> int:
        """Positions whose K and V may exist: processed prompt (or seed token) and the tokens after it."""
        if not self.is_prefilled:
            return self.prefilled + (self.past_inputs - self.lost)
        return max(self.spec.prompt_tokens, 1) + self.emitted

    @property
    def most_positions(self) -> int:
        """Positions a full-length output needs; the last token is never an input."""
        return max(self.spec.prompt_tokens, 1) + self.spec.output_tokens - 1

    @property
    def next_positions(self) -> int:
        """Positions it needs to get on: prompt, what is out so far, and the next token's."""
        return min(max(self.spec.prompt_tokens, 1) + self.emitted + 1, self.most_positions)

    def forget(self) -> None:
        """Its K and V are gone: prompt and past inputs are to be processed again, what is out stays out."""
        self.prefilled, self.lost, self.offered = 0, self.past_inputs, None

    def emit(self, depth: int, now: int) -> int:
        """The pending token is out (stamped earlier: at that time); ends the request when it was the last."""
        if self.pending is None:
            raise RuntimeError(f"request {self.spec.id} emits a token that no head chose")
        token, logprob = self.pending.token, self.pending.logprob
        self.last = now if self.stamped < 0 else self.stamped
        self.output_ids.append(token)
        self.depths.append(depth)
        self.times.append(self.last)
        if logprob is not None:
            self.logprobs.append(logprob)
        self.latched, self.stamped, self.pending = 0, -1, None
        if token in self.stop_ids:
            self.finished = "stop"
        elif self.emitted == self.spec.output_tokens:
            self.finished = "length"
        return token


@dataclass(frozen=True, slots=True)
class RequestOutput:
    """What a finished request leaves. Times in ticks of the engine's clock; `depths` = emitting segment per token.

    `cached_tokens`: prompt tokens that the prefix cache held.
    """

    request_id: int
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    depths: tuple[int, ...]
    exit_layers: tuple[int, ...]
    arrival: int
    token_times: tuple[int, ...]
    logprobs: tuple[Logprob, ...] = ()
    cached_tokens: int = 0
