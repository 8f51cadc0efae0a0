"""From a parsed request to its answer: both endpoints share this path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from drex_runtime.errors import DrexError, EngineError
from drex_runtime.execution.async_engine import AsyncEngine, RequestStream, TokenDelta
from drex_runtime.server.chat import ChatTemplate
from drex_runtime.server.errors import ApiError, as_api_error, error_object
from drex_runtime.server.limits import Limits
from drex_runtime.server.metrics import Metrics
from drex_runtime.server.pace import Pace
from drex_runtime.server.prompts import Prompts
from drex_runtime.server.protocol import ChatRequest, CompletionRequest, SamplingFields
from drex_runtime.server.responses import DONE, Answer, EventResponse, event

logger = logging.getLogger("drex_runtime.server")


@dataclass
class Service:
    """An engine under one model name, with its limits."""

    engine: AsyncEngine
    model: str
    template: ChatTemplate
    limits: Limits
    metrics: Metrics
    created: int

    def __post_init__(self) -> None:
        intake = self.engine.llm.engine.intake
        # Positions of a request, prompt and output: what model and KV pool can both hold.
        self.max_model_len = min(intake.max_model_len, intake.kv.capacity_tokens)
        self.prompts = Prompts(self.engine.llm.tokenizer, self.template, self.max_model_len)

    async def completions(self, asked: CompletionRequest, request: Request) -> Response:
        """POST /v1/completions."""
        self._check_model(asked)
        prompts = await self.prompts.raw(asked.prompts(self.limits))
        return await self._answer(asked, request, prompts, asked.logprobs, asked.max_tokens, chat=False)

    async def chat(self, asked: ChatRequest, request: Request) -> Response:
        """POST /v1/chat/completions."""
        self._check_model(asked)
        if len(asked.messages) > self.limits.messages:
            raise ApiError(400, f"{len(asked.messages)} messages: at most {self.limits.messages}", param="messages")
        if asked.max_tokens is not None and asked.max_completion_tokens is not None:
            raise ApiError(400, "give max_completion_tokens or max_tokens, not both", param="max_tokens")
        prompts = [await self.prompts.chat(asked.messages)]
        most = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
        return await self._answer(asked, request, prompts, asked.logprob_count(), most, chat=True)

    # ---- before the engine --------------------------------------------------------------------------------
    def _check_model(self, asked: SamplingFields) -> None:
        if asked.model is not None and asked.model != self.model:
            raise ApiError(404, f"the model {asked.model[:80]!r} does not exist; this server serves {self.model!r}",
                           param="model", code="model_not_found")

    async def _answer(self, asked: SamplingFields, request: Request, prompts: list[list[int]], logprobs: int | None,
                      max_tokens: int | None, *, chat: bool) -> Response:
        longest = max(len(prompt) for prompt in prompts)
        params = asked.sampling(self.limits, self.max_model_len - longest, logprobs, max_tokens)
        if len(prompts) * params.n > self.limits.sequences:
            raise ApiError(400, f"{len(prompts)} prompts times n = {params.n}: at most {self.limits.sequences} outputs "
                           "in one request", param="n")
        try:
            stream = await self.engine.generate(prompts, params)
        except DrexError as error:
            raise as_api_error(error) from error
        answer = Answer(self.model, chat, self.engine.llm.tokenizer, logprobs is not None, asked.return_exit_layers,
                        asked.stream_options is not None and asked.stream_options.include_usage, logprobs or 0,
                        sum(map(len, prompts)))
        if asked.stream:
            return EventResponse(self._events(stream, answer), lambda: self._close(stream))
        try:
            outputs = await self._collected(stream, request)
        except DrexError as error:
            raise as_api_error(error) from error
        answer.cached_tokens = self._cached_tokens(stream)
        return JSONResponse(answer.whole(outputs))

    # ---- after it -----------------------------------------------------------------------------------------
    async def _collected(self, stream: RequestStream, request: Request) -> list[list[TokenDelta]]:
        """All outputs of a request; a client that leaves frees its rows."""
        outputs: list[list[TokenDelta]] = [[] for _ in stream.sequences]

        async def collect() -> None:
            async for delta in stream:
                outputs[delta.index].append(delta)

        work, left = asyncio.ensure_future(collect()), asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ApiError(499, "the client has gone")
            await work
        finally:
            work.cancel()
            left.cancel()
            self._close(stream)
        if any(deltas[-1].finish == "error" for deltas in outputs):
            raise ApiError(500, "the request failed inside the engine; see the server's log")
        return outputs

    async def _events(self, stream: RequestStream, answer: Answer) -> AsyncIterator[bytes]:
        """The stream's events."""
        pace = Pace(self.limits.pace_ms)
        try:
            if answer.chat:
                for index in range(len(stream.sequences)):
                    yield event(answer.first(index))
            async for delta in stream:
                await pace.wait(delta.index)
                if delta.finish == "error":
                    raise EngineError("the request failed inside the engine; see the server's log")
                for chunk in answer.chunks(delta):
                    yield event(chunk)
            if answer.with_usage:
                answer.cached_tokens = self._cached_tokens(stream)
                yield event(answer.last())
        except DrexError as error:
            told = as_api_error(error)
            detail = str(error) if self.engine.is_alive else told.detail
            yield event(error_object(told.status_code, detail, code=told.code))
        yield DONE

    def _cached_tokens(self, stream: RequestStream) -> int | None:
        """Prompt tokens of a request from the prefix cache, each prompt counted once, as its first output found it."""
        if self.engine.llm.engine.runner.memory.prefixes is None:
            return None
        return sum(sequence.cached or 0 for sequence in stream.sequences[::stream.outputs_per_prompt])

    def _close(self, stream: RequestStream) -> None:
        """Free the rows of what is unfinished; metrics forget it, also where the engine has ended it already."""
        self.metrics.forget(stream.sequences)
        stream.close()

    def models(self) -> dict[str, Any]:
        """GET /v1/models."""
        return {"object": "list", "data": [{"id": self.model, "object": "model", "created": self.created,
                                            "owned_by": "drex", "max_model_len": self.max_model_len}]}


async def _disconnected(request: Request) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
