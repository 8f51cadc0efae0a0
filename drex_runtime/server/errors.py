"""Errors of the API: OpenAI's error object with the right status, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from drex_runtime.errors import DrexError, EngineError, InputError, one_line
from drex_runtime.execution.async_engine import ClosingError, QueueFullError

TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
         405: "invalid_request_error", 408: "invalid_request_error", 413: "invalid_request_error",
         429: "rate_limit_error", 499: "client_closed_request", 500: "internal_error", 503: "service_unavailable"}


class ApiError(HTTPException):
    """An answer other than 200. `param` names the field of the request that is to blame."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None,
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, one_line(message), headers)
        self.param, self.code = param, code


def error_object(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """OpenAI's `{"error": ...}`."""
    return {"error": {"message": message, "type": TYPES.get(status, "invalid_request_error"), "param": param,
                      "code": code}}


def as_api_error(error: DrexError) -> ApiError:
    """The status that an error of the engine's side means to a client."""
    if isinstance(error, QueueFullError):
        return ApiError(429, str(error), code="queue_full", headers={"Retry-After": "1"})
    if isinstance(error, ClosingError):
        return ApiError(503, str(error), code="shutting_down", headers={"Retry-After": "10"})
    if isinstance(error, EngineError):
        return ApiError(503, "the engine has stopped; see the server's log", code="engine_dead")
    return ApiError(400, str(error), param=error.field if isinstance(error, InputError) else None)
