"""What happens to every HTTP request before it is parsed: API key, size and time limit of the body.

Plain ASGI: the body is read here, once, up to the limit, so that no entry point can forget it.
"""

from __future__ import annotations

import asyncio
import secrets

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drex_runtime.server.errors import ApiError, error_object
from drex_runtime.server.limits import Limits

OPEN_PATHS = frozenset({"/health"})


class Gate:
    """ASGI middleware. Everything but /health needs the key, if one is set."""

    def __init__(self, app: ASGIApp, limits: Limits, api_key: str | None) -> None:
        self.app, self.limits = app, limits
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with its whole body, or answer 401, 408, 413."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        try:
            self._check_key(scope)
            body = await self._body(scope, receive)
        except ApiError as error:
            answer = JSONResponse(error_object(error.status_code, error.detail, code=error.code), error.status_code,
                                  headers={**(error.headers or {}), "Connection": "close"})
            await answer(scope, receive, send)
            return
        if body is None:
            return  # the client has gone
        await self.app(scope, _replay(body, receive), send)

    def _check_key(self, scope: Scope) -> None:
        if self._key is None or scope["path"] in OPEN_PATHS:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not secrets.compare_digest(given, b"Bearer " + self._key):
            raise ApiError(401, "a valid API key is required: Authorization: Bearer KEY", code="invalid_api_key",
                           headers={"WWW-Authenticate": "Bearer"})

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        most = self.limits.body_bytes
        too_large = ApiError(413, f"the body may have at most {most} bytes", code="body_too_large")
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if stated.isdigit() and (len(stated) > 18 or int(stated) > most):
            raise too_large
        parts, size = bytearray(), 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts += message.get("body", b"")
                    size = len(parts)
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(parts)
        except TimeoutError as error:
            raise ApiError(408, f"the body did not arrive within {self.limits.body_seconds:g} s") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
