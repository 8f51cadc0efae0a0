"""OpenAI's response objects, from deltas: whole answers and stream chunks of both endpoints."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from drex_runtime.execution.async_engine import TokenDelta
from drex_runtime.execution.params import Logprob
from drex_runtime.model import Tokenizer

LEAST_LOGPROB = -9999.0  # stands for -inf, which JSON cannot hold


@dataclass
class Answer:
    """One response under way: its head, and how deltas become its choices."""

    model: str
    chat: bool
    tokenizer: Tokenizer | None
    with_logprobs: bool
    with_layers: bool
    with_usage: bool = False
    top: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    _offsets: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = f"{'chatcmpl' if self.chat else 'cmpl'}-{uuid.uuid4().hex}"

    def head(self, *, chunk: bool) -> dict[str, Any]:
        """id, object, created, model."""
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def usage(self) -> dict[str, Any]:
        """Token counts; those from the prefix cache (`cached_tokens`) if the server has one."""
        details = {} if self.cached_tokens is None else {"prompt_tokens_details": {"cached_tokens": self.cached_tokens}}
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens, **details}

    # ---- whole --------------------------------------------------------------------------------------------
    def whole(self, outputs: Items[list[TokenDelta]]) -> dict[str, Any]:
        """The answer of a request that was not streamed; `outputs` by index."""
        choices = []
        for index, deltas in enumerate(outputs):
            text = "".join(delta.text for delta in deltas)
            self.completion_tokens += sum(delta.token is not None for delta in deltas)
            content: dict[str, Any] = (
                {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text})
            choices.append({"index": index, **content, "logprobs": self.logprobs(index, deltas),
                            "finish_reason": deltas[-1].finish, **self.layers(deltas)})
        return {**self.head(chunk=False), "choices": choices, "usage": self.usage()}

    # ---- chunks -------------------------------------------------------------------------------------------
    def first(self, index: int) -> dict[str, Any]:
        """The role chunk of a chat choice."""
        return self._chunk([{"index": index, "delta": {"role": "assistant", "content": ""}, "logprobs": None,
                             "finish_reason": None}])

    def chunks(self, delta: TokenDelta) -> list[dict[str, Any]]:
        """What one delta adds: its text, then (chat: in a chunk of its own) the finish reason."""
        self.completion_tokens += delta.token is not None
        logprobs, layers = self.logprobs(delta.index, [delta]), self.layers([delta])
        wanted = bool(delta.text) or (delta.token is not None and (self.with_logprobs or self.with_layers))
        if not self.chat:
            if not wanted and delta.finish is None:
                return []
            return [self._chunk([{"index": delta.index, "text": delta.text, "logprobs": logprobs,
                                  "finish_reason": delta.finish, **layers}])]
        found = []
        if wanted:
            found.append(self._chunk([{"index": delta.index, "delta": {"content": delta.text}, "logprobs": logprobs,
                                       "finish_reason": None, **layers}]))
        if delta.finish is not None:
            found.append(self._chunk([{"index": delta.index, "delta": {}, "logprobs": None,
                                       "finish_reason": delta.finish}]))
        return found

    def last(self) -> dict[str, Any]:
        """The usage chunk of a stream."""
        return {**self._chunk([]), "usage": self.usage()}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self.head(chunk=True), "choices": choices, **({"usage": None} if self.with_usage else {})}

    # ---- parts --------------------------------------------------------------------------------------------
    def layers(self, deltas: Items[TokenDelta]) -> dict[str, list[int]]:
        """exit_layers, if asked for: the layer after which each token was emitted."""
        if not self.with_layers:
            return {}
        return {"exit_layers": [delta.exit_layer for delta in deltas if delta.token is not None]}

    def logprobs(self, index: int, deltas: Items[TokenDelta]) -> dict[str, Any] | None:
        """Of the deltas' tokens, in the endpoint's form."""
        if not self.with_logprobs:
            return None
        found = [(delta.token, delta.logprob, delta.text) for delta in deltas
                 if delta.token is not None and delta.logprob is not None]
        return self._chat_logprobs(found) if self.chat else self._completion_logprobs(index, found)

    def _chat_logprobs(self, found: Items[tuple[int, Logprob, str]]) -> dict[str, Any]:
        return {"content": [{**self._entry(token, logprob.value),
                             "top_logprobs": [self._entry(*best) for best in logprob.best[:self.top]]}
                            for token, logprob, _ in found], "refusal": None}

    def _completion_logprobs(self, index: int, found: Items[tuple[int, Logprob, str]]) -> dict[str, Any]:
        offsets = []
        for _, _, text in found:
            offsets.append(self._offsets.get(index, 0))
            self._offsets[index] = offsets[-1] + len(text)
        tops = [{self._word(token): finite(value) for token, value in (*logprob.best, (chosen, logprob.value))}
                for chosen, logprob, _ in found]
        return {"tokens": [self._word(token) for token, _, _ in found],
                "token_logprobs": [finite(logprob.value) for _, logprob, _ in found],
                "top_logprobs": tops if self.top else None, "text_offset": offsets}

    def _entry(self, token: int, value: float) -> dict[str, Any]:
        word = self._word(token)
        return {"token": word, "logprob": finite(value), "bytes": list(word.encode())}

    def _word(self, token: int) -> str:
        if self.tokenizer is None:
            return f"token_id:{token}"
        return self.tokenizer.decode([token], special=True)


def finite(value: float) -> float:
    """A log probability as JSON can hold it."""
    return max(value, LEAST_LOGPROB)


class EventResponse(StreamingResponse):
    """A stream of events that calls `ended` however it ends.

    A `finally` in the generator would not do: it does not run if the client leaves before the first event, and only
    when the generator is collected if the client leaves while an event is being sent.
    """

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
