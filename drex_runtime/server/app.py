"""The FastAPI application: routes, strict bodies, error answers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

import drex_runtime
from drex_runtime.errors import DrexError
from drex_runtime.execution.async_engine import MAX_UNREAD, AsyncEngine
from drex_runtime.execution.llm import LLM
from drex_runtime.server.chat import ChatTemplate
from drex_runtime.server.errors import ApiError, as_api_error, error_object
from drex_runtime.server.gate import Gate
from drex_runtime.server.json_body import parse_body
from drex_runtime.server.limits import Limits
from drex_runtime.server.metrics import Metrics
from drex_runtime.server.protocol import ChatRequest, CompletionRequest
from drex_runtime.server.service import Service

logger = logging.getLogger("drex_runtime.server")
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": {
        "type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}}}}}
    for status, text in ((400, "The request cannot be served as it is"), (401, "API key missing or wrong"),
                         (404, "No such model"), (408, "The body came too slowly"), (413, "The body is too large"),
                         (429, "The queue is full"), (500, "This request failed"), (503, "Shutting down, or dead"))}
COMPLETION = {**ERRORS, 200: {"description": "The answer, or a stream of events", "content": {
    "application/json": {"schema": {"type": "object"}}, "text/event-stream": {"schema": {"type": "string"}}}}}


def create_app(llm: LLM, *, model_name: str, template: ChatTemplate | None = None, limits: Limits | None = None,
               api_key: str | None = None) -> FastAPI:
    """The server's application over an `LLM`. `app.state.service` is what it serves.

    The engine's thread starts and ends with the application's lifespan.
    """
    limits = limits or Limits()
    # A fixed pace holds tokens back that the client would read: they must not count as unread against it.
    held_back = llm.engine.intake.max_model_len if limits.pace_ms else 0
    engine = AsyncEngine(llm, max_waiting=limits.waiting, max_unread=max(MAX_UNREAD, held_back))
    service = Service(engine, model_name, template or ChatTemplate(None), limits, Metrics(engine, model_name),
                      int(time.time()))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await engine.drain(limits.drain_seconds)

    app = FastAPI(title="drex serve", version=drex_runtime.__version__, lifespan=lifespan, docs_url=None,
                  redoc_url=None)
    app.state.service = service
    app.router.route_class = strict_route(limits)
    app.add_middleware(Gate, limits=limits, api_key=api_key)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DrexError, _drex_error)
    app.add_exception_handler(Exception, _defect)
    _add_routes(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/completions", responses=COMPLETION, response_class=Response, summary="Complete prompts")
    async def completions(asked: CompletionRequest, request: Request) -> Response:
        return await service.completions(asked, request)

    @app.post("/v1/chat/completions", responses=COMPLETION, response_class=Response, summary="Continue a chat")
    async def chat(asked: ChatRequest, request: Request) -> Response:
        return await service.chat(asked, request)

    @app.get("/v1/models", responses={401: ERRORS[401]}, summary="The model served")
    async def models() -> dict[str, Any]:
        return service.models()

    @app.get("/health", responses={503: ERRORS[503]}, summary="Whether the step loop runs")
    async def health() -> Response:
        if service.engine.is_alive and not service.engine.closing:
            return JSONResponse({"status": "ok"})
        status = "closing" if service.engine.is_alive else "dead"
        return JSONResponse({"status": status}, 503)

    @app.get("/metrics", responses={401: ERRORS[401]}, response_class=Response, summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/version", responses={401: ERRORS[401]}, summary="Version")
    async def version() -> dict[str, str]:
        return {"version": drex_runtime.__version__}


def strict_route(limits: Limits) -> type[APIRoute]:
    """Routes whose JSON bodies are read by `parse_body`."""

    class StrictRequest(Request):
        async def json(self) -> Any:
            return parse_body(await self.body(), limits.json_depth)

    class StrictRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            handle = super().get_route_handler()

            async def strict(request: Request) -> Response:
                return await handle(StrictRequest(request.scope, request.receive))

            return strict

    return StrictRoute


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _defect(_, error)
    param, code = (error.param, error.code) if isinstance(error, ApiError) else (None, None)
    return JSONResponse(error_object(error.status_code, str(error.detail), param, code), error.status_code,
                        headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """A body of the wrong shape: 400, naming the first field that is wrong."""
    if not isinstance(error, RequestValidationError) or not error.errors():
        return await _defect(_, error)
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{path}: {first['msg']}" if path else str(first["msg"])
    return JSONResponse(error_object(400, message[:400], path[:80] or None), 400)


async def _drex_error(_: Request, error: Exception) -> Response:
    return await _http_error(_, as_api_error(error)) if isinstance(error, DrexError) else await _defect(_, error)


async def _defect(_: Request, error: Exception) -> Response:
    logger.error("defect while answering", exc_info=error)
    return JSONResponse(error_object(500, "internal error; see the server's log"), 500)
