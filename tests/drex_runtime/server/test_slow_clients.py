"""Clients that send or read slowly, or not at all: others are served meanwhile, what is held for them is bounded (24).

And the pace at which a server may send on purpose (38).
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from types import SimpleNamespace

import pytest

from drex_runtime.execution.async_engine import MAX_UNREAD
from drex_runtime.server import pace
from drex_runtime.server.limits import Limits
from drex_runtime.server.pace import Pace
from tests.drex_runtime.server.running import GOLDEN, LONG, Running, all_of, http_request, is_whole, running, until

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
BUFFER = 8192  # of the kernel, on either side


def connected(server: Running, sent: bytes) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    wire.sendall(sent)
    return wire


def test_a_slow_sender_is_cut_off() -> None:
    """In the body, in the head, before its first byte, after an answer; other clients notice nothing."""
    with running(limits=Limits(header_seconds=1, body_seconds=1, drain_seconds=1)) as server:
        golden = server.golden()
        begun = time.monotonic()
        wires = [connected(server, sent) for sent in (HEAD + b"\r\n{", HEAD, b"")]
        again = connected(server, http_request("/v1/completions", json.dumps(GOLDEN).encode()))
        assert b" 200 " in again.recv(65536)
        again.sendall(HEAD)
        assert server.golden() == golden
        for wire, expected in zip([*wires, again], (b" 408 ", b" 408 ", b"", b" 408 "), strict=True):
            with wire:
                told = all_of(wire)
                assert expected in told and bool(told) == bool(expected)
        assert time.monotonic() - begun < 10
        assert server.golden() == golden


def test_a_head_that_comes_byte_by_byte_gets_no_more_time() -> None:
    with running(limits=Limits(header_seconds=0.5, drain_seconds=1)) as server, connected(server, b"") as wire:
        begun = time.monotonic()
        with pytest.raises(OSError):  # reset or closed, as the system likes
            for byte in HEAD * 20:
                wire.sendall(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - begun < 5
        assert server.golden()[0]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_never_reads_blocks_nobody_and_is_cut_off(stream: bool) -> None:
    """Megabytes are due to it; what the server buffers for it stays small, its rows are freed, its connection ends."""
    fields = {**LONG, "n": 3, "logprobs": 20, "max_tokens": 200, "stream": stream}
    with running(limits=Limits(write_seconds=0.5, drain_seconds=1), send_buffer=BUFFER) as server:
        golden = server.golden()
        with server.send("/v1/completions", fields, receive_buffer=BUFFER):
            until(lambda: server.service.engine.unfinished == 3, "submitted")
            until(lambda: any(each.flow.write_paused for each in server.connections), "the client is behind")
            (held,) = [each for each in server.connections if each.flow.write_paused]
            if stream:
                assert held.transport.get_write_buffer_size() < 2**18
            assert server.golden() == golden
            until(lambda: held not in server.connections, "it is cut off")
            server.wait_until_idle()
        assert server.golden() == golden
        assert not server.service.metrics._last


def test_what_a_stream_leaves_unread_is_bounded() -> None:
    """Beyond the bound its request is aborted, though its client is still there."""
    with running(limits=Limits(drain_seconds=1), send_buffer=BUFFER) as server:
        server.service.engine.max_unread = 20
        most = 0
        with server.send("/v1/completions", {**LONG, "logprobs": 20, "stream": True},
                         receive_buffer=BUFFER) as wire:
            until(lambda: server.service.engine.unfinished == 1, "submitted")
            (stream,) = server.service.engine._streams
            while stream.open:
                most = max(most, stream.unread)
                time.sleep(0.001)
            server.wait_until_idle()
            assert 0 < most <= 21
            assert b"unread" in all_of(wire)  # it is told when it reads at last
        until(lambda: not server.service.metrics._last, "metrics forget it")
        assert server.golden()[0]


def test_a_slow_reader_gets_everything() -> None:
    with running(limits=Limits(write_seconds=1, drain_seconds=1), send_buffer=BUFFER) as server:
        fields = {**LONG, "logprobs": 20, "max_tokens": 70}
        expected = server.http.post("/v1/completions", json=fields).json()["choices"][0]
        with server.send("/v1/completions", fields, receive_buffer=BUFFER) as wire:
            answer, begun = b"", time.monotonic()
            while not is_whole(answer):
                answer += wire.recv(2048)
                time.sleep(0.06)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["choices"][0] == expected
        assert time.monotonic() - begun > 1  # longer than a client that takes nothing is given


# ---- 38 ---------------------------------------------------------------------------------------------------
def test_tokens_leave_on_a_beat_whenever_they_were_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output's tokens are whole beats apart (what comes just after a beat still belongs to it)."""
    now = 100.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def sent() -> list[list[float]]:
        paced, found = Pace(20), list[list[float]]([[], []])
        for output, took in ((0, 0), (1, 0), (0, 0.001), (0, 0), (1, 0.003), (0, 0.05), (0, 0), (1, 0.001)):
            await sleep(took)
            await paced.wait(output)
            found[output].append(round((now - 100) / 0.02, 6))
        return found

    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(pace, "asyncio", SimpleNamespace(sleep=sleep))
    assert asyncio.run(sent()) == [[0, 1, 2, 6, 7], [0, 3, 7.05]]


def test_a_pace_changes_no_text_and_aborts_nobody() -> None:
    """Tokens that the server itself holds back do not count as unread."""
    with running(limits=Limits(pace_ms=10, drain_seconds=1)) as server:
        assert server.service.engine.max_unread >= max(MAX_UNREAD, server.service.max_model_len)
        begun = time.monotonic()
        with server.http.stream("POST", "/v1/completions", json={**GOLDEN, "stream": True}) as answer:
            chunks = [line for line in answer.iter_lines() if line.startswith("data: {")]
        assert time.monotonic() - begun >= 0.01 * (GOLDEN["max_tokens"] - 1)  # type: ignore[operator]
        assert "".join(json.loads(chunk[6:])["choices"][0]["text"] for chunk in chunks) == server.golden()[0]
