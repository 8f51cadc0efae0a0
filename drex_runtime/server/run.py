"""Running the application under uvicorn: the port, signals, the drain."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from drex_runtime.errors import DrexError, InputError
from drex_runtime.server.connection import connections
from drex_runtime.server.service import Service

GRACE_SECONDS = 5  # for clients to read what they were told
TELL_SECONDS = 1  # to tell them, when asked to stop twice


class StartError(DrexError):
    """The server cannot start."""

    exit_code = 1


class Server(uvicorn.Server):
    """uvicorn's server. The first SIGTERM or SIGINT drains; the second tells open clients that it is over and ends the
    process; the third ends it in that very moment."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._hurry: int | None = None  # the exit code, once asked twice

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)
        if self._hurry is not None:
            os._exit(self._hurry)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        if self._hurry is not None:
            os._exit(self._hurry)
        if self.should_exit:
            self._hurry = 128 + sig
            # A thread, so that nothing holds it up: neither the engine's thread nor a busy event loop.
            end = threading.Timer(TELL_SECONDS, os._exit, (self._hurry,))
            end.daemon = True
            end.start()
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.drain if self._hurry is None else self._service.engine.dismiss)

    def drain(self) -> None:
        """Refuse new requests and give open ones their time; on the event loop."""
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._service.engine.drain(self._service.limits.drain_seconds))


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises StartError, one line, where host or port cannot be had."""
    if not 0 <= port <= 65535:
        raise InputError("serve", "--port", port, "0 (any free one) to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        why = "the port is taken" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        raise StartError(f"cannot listen on {host}:{port}: {why}") from error
    return bound


def server_of(app: FastAPI, *, log_level: str = "warning") -> Server:
    """A server for the application; pass it a socket of `listen`."""
    service: Service = app.state.service
    config = uvicorn.Config(app, http=connections(service.limits), ws="none", lifespan="on", log_level=log_level,
                            access_log=False, server_header=False, timeout_keep_alive=30,
                            h11_max_incomplete_event_size=64 * 1024,
                            timeout_graceful_shutdown=int(service.limits.drain_seconds) + GRACE_SECONDS)
    return Server(config, service)
