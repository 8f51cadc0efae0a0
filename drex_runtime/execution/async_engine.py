"""AsyncEngine: the engine in a thread of its own, requests and their tokens over asyncio.

The thread owns the engine: it takes commands (submit, abort) between steps, steps, and hands every new token to the
event loop. What a client has not read yet is bounded (`max_unread` tokens a request; beyond it the request is
aborted), what waits for a row is bounded (`max_waiting`). If the thread dies, every open request ends with
EngineError, new ones are refused and `failure` says why.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from drex_runtime.errors import DrexError, EngineError, LimitError
from drex_runtime.execution.clock import RealClock
from drex_runtime.execution.llm import LLM, Prompt
from drex_runtime.execution.params import Logprob, SamplingParams
from drex_runtime.execution.requests import FinishReason, Sequence
from drex_runtime.execution.text_output import TextOutput, hides_last
from drex_runtime.records.ticks import TICKS_PER_SECOND, Tick

logger = logging.getLogger("drex_runtime.engine")
MAX_UNREAD = 1024  # tokens of an output that a client may leave unread


class QueueFullError(LimitError):
    """More requests wait than the queue may hold; try again later."""


class ClosingError(DrexError):
    """The engine takes no requests any more."""


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """What one step added to one output: at most one token, and the text that became certain with it.

    `index`: of the output within its request. `finish`: set on the last delta. `seconds`: the token's time, and the
    arrival's, on the engine's clock.
    """

    index: int
    text: str
    token: int | None
    depth: int
    exit_layer: int
    logprob: Logprob | None
    finish: FinishReason | None
    arrived: float
    seconds: float


class RequestStream:
    """The outputs of one request while they grow. Iterate it once; `close` aborts what is unfinished.

    Raises EngineError from the iteration if the engine died, LimitError if the client did not read.
    """

    def __init__(self, engine: AsyncEngine, sequences: Items[Sequence], outputs_per_prompt: int = 1) -> None:
        self.sequences, self.outputs_per_prompt = tuple(sequences), outputs_per_prompt
        self.open = len(self.sequences)
        self._engine = engine
        self._deltas: deque[TokenDelta] = deque()
        self._error: DrexError | None = None
        self._ready = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        while True:
            while self._deltas:
                yield self._deltas.popleft()
            if self._error is not None:
                raise self._error
            if not self.open:
                return
            self._ready.clear()
            await self._ready.wait()

    @property
    def unread(self) -> int:
        """Tokens that are out and were not read yet."""
        return len(self._deltas)

    def close(self) -> None:
        """Abort what is unfinished; harmless when nothing is, and when called again."""
        if self.open:
            self._engine.abort(self)

    def put(self, delta: TokenDelta) -> bool:
        """Called on the event loop; False if the client is too far behind."""
        self._deltas.append(delta)
        self.open -= delta.finish is not None
        self._ready.set()
        return self.unread <= self._engine.max_unread * len(self.sequences)

    def fail(self, error: DrexError) -> None:
        """End the stream with an error, after what is already there."""
        self._error, self.open = error, 0
        self._ready.set()


@dataclass(eq=False, slots=True)
class _Live:
    """An unfinished sequence as the engine thread sees it."""

    sequence: Sequence
    stream: RequestStream
    index: int
    text: TextOutput
    published: int = 0


@dataclass(slots=True)
class _Inbox:
    """Commands for the engine thread, taken between steps."""

    submitted: list[_Live] = field(default_factory=list)
    aborted: list[RequestStream] = field(default_factory=list)
    stopping: bool = False


class _WakingClock(RealClock):
    """A real clock whose waits end early when a command arrives."""

    def __init__(self, tick: Tick, wake: threading.Event) -> None:
        super().__init__(tick)
        self._wake, self._ticks = wake, TICKS_PER_SECOND[tick]

    def wait_until(self, at: int) -> None:
        left = at - self.now()
        if left > 0:
            self._wake.wait(left / self._ticks)


class AsyncEngine:
    """Serves an `LLM`, which nobody else may use meanwhile. `start` on the event loop that will read the streams.

    `on_delta` is called on the event loop for every token (metrics); what it raises is logged and goes no further.
    """

    def __init__(self, llm: LLM, *, max_waiting: int = 256, max_unread: int = MAX_UNREAD,
                 on_delta: Callable[[Sequence, TokenDelta], None] | None = None) -> None:
        self.llm, self.max_waiting, self.max_unread, self.on_delta = llm, max_waiting, max_unread, on_delta
        self.failure: str | None = None
        self.closing = False
        self._engine = llm.engine
        self._wake = threading.Event()
        self._engine.clock = _WakingClock(self._engine.profile.tick, self._wake)
        self._per_second = TICKS_PER_SECOND[self._engine.profile.tick]
        self._bounds = (*llm.model.config.ramps, llm.model.config.num_layers)
        self._lock, self._intake_lock = threading.Lock(), threading.Lock()
        self._inbox = _Inbox()
        self._live: dict[Sequence, _Live] = {}
        self._streams: set[RequestStream] = set()  # open ones; event loop only
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="drex-engine", daemon=True)

    # ---- event loop side ----------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread; call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the step loop runs."""
        return self.failure is None and self._thread.is_alive()

    @property
    def unfinished(self) -> int:
        """Outputs that are not finished, running or waiting."""
        return sum(stream.open for stream in self._streams)

    async def generate(self, prompts: Items[Prompt], params: SamplingParams) -> RequestStream:
        """Submit the prompts of one request; its outputs are numbered prompt by prompt, n for each.

        Raises InputError for what can never run, QueueFullError, ClosingError, EngineError when the engine is dead.
        """
        self._admit(len(prompts) * params.n)
        sequences = await asyncio.to_thread(self._sequences, prompts, params)
        self._admit(len(sequences))  # the world may have changed meanwhile
        stream = RequestStream(self, sequences, params.n)
        if not sequences:
            return stream
        tokenizer = self.llm.tokenizer
        lives = [_Live(sequence, stream, index, TextOutput(tokenizer, sequence.params))
                 for index, sequence in enumerate(sequences)]
        self._streams.add(stream)
        self._idle.clear()
        with self._lock:
            self._inbox.submitted += lives
        self._wake.set()
        return stream

    def _admit(self, count: int) -> None:
        if not self.is_alive:
            raise EngineError(f"the engine has stopped: {self.failure or 'not running'}")
        if self.closing:
            raise ClosingError("the server is shutting down")
        most = self._engine.scheduler.config.max_num_seqs + self.max_waiting
        if self.unfinished + count > most:
            raise QueueFullError(f"{self.unfinished} sequences run or wait, {count} more would exceed {most}")

    def _sequences(self, prompts: Items[Prompt], params: SamplingParams) -> list[Sequence]:
        with self._intake_lock:
            return [sequence for prompt in prompts for sequence in self.llm.sequences(prompt, params)]

    def abort(self, stream: RequestStream) -> None:
        """Drop a request wherever it is; its rows and memory are free after the running step."""
        with self._lock:
            self._inbox.aborted.append(stream)
        self._wake.set()
        self._forget(stream)
        stream.open = 0

    async def drain(self, seconds: float) -> None:
        """Take no new requests; wait for the open ones, tell those that remain after `seconds`, stop the thread."""
        self.closing = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            self.dismiss()
        with self._lock:
            self._inbox.stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def dismiss(self) -> None:
        """Abort every open request and tell its client that the server is shutting down; on the event loop."""
        for stream in list(self._streams):
            self.abort(stream)
            stream.fail(ClosingError("the server is shutting down; this request was not finished"))

    def _forget(self, stream: RequestStream) -> None:
        self._streams.discard(stream)
        if not self._streams:
            self._idle.set()

    def _deliver(self, deltas: list[tuple[_Live, TokenDelta]]) -> None:
        for live, delta in deltas:
            stream = live.stream
            if stream not in self._streams:
                continue  # closed meanwhile
            if self.on_delta is not None:
                try:
                    self.on_delta(live.sequence, delta)
                except Exception:  # a counter must not cost a client its answer
                    logger.exception("metrics failed")
            kept = stream.put(delta)
            if not stream.open:
                self._forget(stream)
            elif not kept:
                self.abort(stream)
                stream.fail(LimitError(f"the client left more than {self.max_unread} tokens unread"))

    def _tell_all(self, failure: str) -> None:
        for stream in list(self._streams):
            stream.fail(EngineError(f"the engine has stopped: {failure}"))
            self._forget(stream)

    # ---- engine thread ------------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            while self._take_commands():
                if self._engine.has_work:
                    self._engine.step()
                    self._publish()
        except BaseException as error:  # SystemExit too: the books are in doubt, and nobody may wait for ever
            logger.exception("the engine loop died")
            self.failure = f"{type(error).__name__}: {error}"
            self._on_loop(lambda: self._tell_all(self.failure or ""))

    def _take_commands(self) -> bool:
        if not self._engine.has_work:
            self._wake.wait()
        self._wake.clear()
        with self._lock:
            inbox, self._inbox = self._inbox, _Inbox()
        for live in inbox.submitted:
            self._live[live.sequence] = live
            self._engine.submit(live.sequence)
        gone = set(inbox.aborted)
        for live in [live for live in self._live.values() if live.stream in gone]:
            self._end(live, "abort")
        return not inbox.stopping

    def _end(self, live: _Live, reason: FinishReason) -> None:
        del self._live[live.sequence]
        if live.sequence.finished is None:
            self._engine.abort(live.sequence, reason)

    def _publish(self) -> None:
        """Hand out what the step added. Looks at every live request, so that no way to end one can be missed."""
        deltas: list[tuple[_Live, TokenDelta]] = []
        for live in list(self._live.values()):
            sequence = live.sequence
            while live.published < sequence.emitted or (sequence.finished and sequence in self._live):
                delta = self._delta(live)
                deltas.append((live, delta))
                if delta.finish is not None:
                    self._end(live, delta.finish)
                    break
        if deltas:
            self._on_loop(lambda: self._deliver(deltas))

    def _delta(self, live: _Live) -> TokenDelta:
        sequence, at = live.sequence, live.published
        arrived, ended = sequence.spec.arrival / self._per_second, sequence.last / self._per_second
        if at == sequence.emitted:  # ended without a new token
            return TokenDelta(live.index, "", None, 0, 0, None, sequence.finished, arrived, ended)
        live.published += 1
        token, depth = sequence.output_ids[at], sequence.depths[at]
        finish = sequence.finished if live.published == sequence.emitted else None
        text = ""
        try:
            if not (finish and hides_last(sequence.params, (token,), finish, sequence.stop_ids)):
                text = live.text.push(token)
            text += live.text.finish() if finish else ""
        except Exception:  # the detokenizer failed on this output: its request ends, the others go on
            logger.exception("request %d: its text cannot be decoded", sequence.spec.id)
            finish = "error"
        if live.text.stopped is not None:
            finish = "stop"
        logprob = sequence.logprobs[at] if sequence.params.logprobs is not None else None
        return TokenDelta(live.index, text, token, depth, self._bounds[depth - 1], logprob, finish, arrived,
                          sequence.times[at] / self._per_second)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Run on the event loop; a loop that is closed has no clients left to tell."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)
