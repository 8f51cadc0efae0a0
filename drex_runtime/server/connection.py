"""A client's connection: one that neither sends its request nor reads its answer is ended, so that it holds nothing.

uvicorn bounds the bytes it buffers for a client (a stream waits while they are unread), but not for how long: without
these two timers a silent client keeps its connection, and a stream its buffered tokens, for as long as it likes.
The body has its own time limit, in `gate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from drex_runtime.server.limits import Limits

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Timer:
    """Calls `late` once `seconds` after it was set, unless it is lifted before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[], None]) -> None:
        self._loop, self._seconds, self._late = loop, seconds, late
        self._handle: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Start to count, unless it counts already."""
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._fire)

    def lift(self) -> None:
        """Stop counting."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._late()


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with a time limit for a request's head, and for any byte of an answer to be taken."""

    limits = Limits()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head = Timer(self.loop, self.limits.header_seconds, self._head_late)
        self._stall = Timer(self.loop, self.limits.write_seconds, self._stalled)
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has come; its request is expected."""
        super().connection_made(transport)
        # Whatever the kernel does not take is waited for, so that every unread byte is under the timer.
        transport.set_write_buffer_limits(high=0)
        self._head.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._head.lift()
        self._stall.lift()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: once it has begun, its head has to arrive in time."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._head.set()
        else:
            self._head.lift()

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._stall.set()

    def resume_writing(self) -> None:
        """It has taken everything."""
        self._stall.lift()
        super().resume_writing()

    def _stalled(self) -> None:
        """A slow reader may take its time; one that has taken nothing at all is gone."""
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread < before:
            self._stall.set()
        else:
            self.transport.abort()  # close() would wait for the unread bytes

    def _head_late(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self.conn.trailing_data[0]:
                self.transport.write(TOO_SLOW)
            self.transport.close()


def connections(limits: Limits) -> type[Connection]:
    """The class of a server's connections, with its limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits})
