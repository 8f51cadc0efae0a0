"""A real server in a thread, on a free loopback port, over the demo model."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.execution.llm import LLM
from drex_runtime.server.app import create_app
from drex_runtime.server.chat import ChatTemplate
from drex_runtime.server.limits import Limits
from drex_runtime.server.run import listen, server_of
from drex_runtime.server.service import Service

MODEL = "demo"
LONG = {"model": MODEL, "prompt": "def", "max_tokens": 1500, "ignore_eos": True, "temperature": 0}
GOLDEN = {"model": MODEL, "prompt": "def read(path):", "max_tokens": 12, "temperature": 0}


class Running:
    """Address and inside of a server that runs."""

    def __init__(self, service: Service, port: int, connections: set[Any]) -> None:
        self.service, self.port, self.connections = service, port, connections
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=30)

    @property
    def engine(self) -> Any:
        """The engine behind it."""
        return self.service.engine.llm.engine

    def golden(self) -> tuple[str, list[int]]:
        """Text and exit layers of the golden request."""
        answer = self.http.post("/v1/completions", json={**GOLDEN, "return_exit_layers": True})
        assert answer.status_code == 200, answer.text
        choice = answer.json()["choices"][0]
        return choice["text"], choice["exit_layers"]

    def send(self, path: str, fields: dict[str, Any], *, receive_buffer: int = 0) -> socket.socket:
        """A request sent by hand, whose answer nobody reads yet."""
        wire = socket.socket()
        if receive_buffer:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        wire.settimeout(20)
        wire.connect(("127.0.0.1", self.port))
        wire.sendall(http_request(path, json.dumps(fields).encode()))
        return wire

    def wait_until_idle(self) -> None:
        """Nothing in flight, nothing leaked."""
        until = time.monotonic() + 20
        while self.engine.has_work or self.service.engine.unfinished:
            assert time.monotonic() < until, "requests are left"
            time.sleep(0.01)
        self.engine.check()
        assert self.engine.scheduler.in_flight == 0
        assert self.engine.runner.memory.pool.blocks_in_use == 0


def http_request(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def all_of(wire: socket.socket) -> bytes:
    """One answer, whole; or what arrives until the other side closes."""
    found = b""
    while not is_whole(found) and (more := wire.recv(65536)):
        found += more
    return found


def is_whole(answer: bytes) -> bool:
    """Whether the bytes are a complete answer."""
    head, end, body = answer.lower().partition(b"\r\n\r\n")
    length = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
    return bool(end) and (len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n"))


@contextmanager
def running(*, api_key: str | None = None, limits: Limits | None = None, template: ChatTemplate | None = None,
            llm: LLM | None = None, send_buffer: int = 0, **options: Any) -> Iterator[Running]:
    """Serve the demo model (or `llm`); the server is drained at the end."""
    llm = llm or LLM(DEMO_FOLDER, **{"max_num_seqs": 8, **options})
    app = create_app(llm, model_name=MODEL, template=template, limits=limits or Limits(drain_seconds=5),
                     api_key=api_key)
    bound = listen("127.0.0.1", 0)
    if send_buffer:  # what is accepted inherits it
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    server = server_of(app, log_level="critical")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until and thread.is_alive()
        time.sleep(0.005)
    found = Running(app.state.service, bound.getsockname()[1], server.server_state.connections)
    try:
        yield found
    finally:
        server.should_exit = True
        found.http.close()
        thread.join(20)
        assert not thread.is_alive()
