"""Clients that vanish, floods, faults inside the engine, shutdown: nothing leaks, everybody is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from drex_runtime.server.limits import Limits
from tests.drex_runtime.server.running import GOLDEN, MODEL, Running, running
from tests.scale import scaled

LONG = {"model": MODEL, "prompt": "def", "max_tokens": 1500, "ignore_eos": True, "temperature": 0}


def until(condition: Any, what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def open_stream(server: Running, fields: dict[str, Any]) -> socket.socket:
    """A request sent by hand, whose answer nobody reads yet."""
    body = json.dumps(fields).encode()
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    wire.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return wire


@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_frees_rows(server: Running, stream: bool) -> None:
    """While running, parked or waiting for a row (25)."""
    golden = server.golden()
    wires = [open_stream(server, {**LONG, "stream": stream, "prompt": "def" * (1 + at)}) for at in range(12)]
    until(lambda: server.engine.scheduler.in_flight == 8 and server.service.engine.unfinished == 12, "all submitted")
    for wire in wires:
        wire.close()
    server.wait_until_idle()
    assert server.golden() == golden


def test_a_killed_client_process_frees_its_row(server: Running) -> None:
    code = textwrap.dedent(f"""
        import json, socket, time
        body = json.dumps({ {**LONG, "stream": True}!r}).encode()
        wire = socket.create_connection(("127.0.0.1", {server.port}))
        wire.sendall(b"POST /v1/completions HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
                     b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
        wire.recv(100)
        print("reading", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdout.readline() == b"reading\n"
        assert server.service.engine.unfinished == 1
        os.kill(client.pid, signal.SIGKILL)
    server.wait_until_idle()


def test_many_streams_at_once_lose_nothing() -> None:
    """200 concurrent streams over 8 rows: every one complete, equal prompts equal texts."""
    count = 200
    with running(limits=Limits(waiting=count)) as server:
        texts = asyncio.run(_streams(server.url, count, tokens=scaled(8, 64, "tokens of each of 200 streams")))
        assert len(texts) == count
        assert all(texts[at] == texts[at % 5] for at in range(count))
        server.wait_until_idle()
        metrics = server.http.get("/metrics").text
        assert f'vllm:request_success_total{{finished_reason="length",model_name="{MODEL}"}} {count}.0' in metrics
        assert f'drex:num_requests_running{{model_name="{MODEL}"}} 0.0' in metrics


async def _streams(url: str, count: int, tokens: int) -> list[str]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:

        async def one(at: int) -> str:
            text, done, fields = "", False, {**LONG, "prompt": "abcde"[at % 5], "max_tokens": tokens, "stream": True}
            async with http.stream("POST", "/v1/completions", json=fields) as answer:
                assert answer.status_code == 200
                async for line in answer.aiter_lines():
                    done = line == "data: [DONE]" or done
                    if line.startswith("data: {"):
                        text += json.loads(line[6:])["choices"][0]["text"]
            assert done
            return text

        return await asyncio.gather(*(one(at) for at in range(count)))


def test_a_burst_beyond_the_queue_is_told_to_come_back() -> None:
    with running(max_num_seqs=1, limits=Limits(waiting=2, drain_seconds=1)) as server:
        wires = [open_stream(server, {**LONG, "stream": True}) for _ in range(3)]
        until(lambda: server.service.engine.unfinished == 3, "three submitted")
        answer = server.http.post("/v1/completions", json=LONG)
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert server.http.get("/health").status_code == 200
        for wire in wires:
            wire.close()
        server.wait_until_idle()
        assert server.golden()[0]


def test_a_slow_sender_is_cut_off() -> None:
    with running(limits=Limits(body_seconds=0.2, drain_seconds=1)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
            wire.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert b" 408 " in wire.recv(4096)
        assert server.golden()[0]


def test_a_fixed_pace_holds_chunks_back() -> None:
    with running(limits=Limits(pace_ms=10, drain_seconds=1)) as server:
        chunks = []
        with server.http.stream("POST", "/v1/completions", json={**GOLDEN, "stream": True}) as answer:
            chunks = [line for line in answer.iter_lines() if line.startswith("data: {")]
        assert "".join(json.loads(chunk[6:])["choices"][0]["text"] for chunk in chunks) == server.golden()[0]


class BrokenError(RuntimeError):
    """A fault that a test put in."""


def breaks(*_: Any, **__: Any) -> Any:
    raise BrokenError("on purpose")


def test_a_detokenizer_that_fails_ends_its_request_alone(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from drex_runtime.execution.text_output import TextOutput
    golden = server.golden()
    with monkeypatch.context() as patched:
        patched.setattr(TextOutput, "push", breaks)
        answer = server.http.post("/v1/completions", json=LONG)
        assert answer.status_code == 500 and "on purpose" not in answer.text
        with server.http.stream("POST", "/v1/completions", json={**LONG, "stream": True}) as streamed:
            assert '"error"' in streamed.read().decode()
        server.wait_until_idle()
    assert server.golden() == golden


def test_metrics_that_fail_cost_no_answer(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = server.golden()
    with monkeypatch.context() as patched:
        patched.setattr(server.service.engine, "on_delta", breaks)
        assert server.golden() == golden
        patched.setattr(server.service.metrics, "text", breaks)
        assert server.http.get("/metrics").status_code == 500
    assert server.http.get("/health").status_code == 200


@pytest.mark.parametrize("fault", ["segment", "choose", "oom"])
def test_a_fault_in_a_step_is_told_to_every_client(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the request ends alone and the engine lives, or everybody is told and health fails; never silence."""
    with running(limits=Limits(drain_seconds=1)) as server:
        runner, error = server.engine.runner, MemoryError if fault == "oom" else BrokenError
        target = runner.sampler if fault == "choose" else runner
        name, calls = ("choose" if fault == "choose" else "segment"), []
        real = getattr(target, name)

        def fails_once(*given: Any) -> Any:
            calls.append(1)
            if len(calls) == 4:
                raise error("on purpose")
            return real(*given)

        monkeypatch.setattr(target, name, fails_once)
        wires = [open_stream(server, {**LONG, "max_tokens": 20, "stream": True}) for _ in range(2)]
        for wire in wires:
            told = b""
            while not told.endswith(b"0\r\n\r\n") and (more := wire.recv(65536)):
                told += more
            assert b"[DONE]" in told and (b'"error"' in told or b'"length"' in told)
            wire.close()
        assert len(calls) >= 4
        if server.service.engine.is_alive:
            server.wait_until_idle()
            assert server.golden()[0]
        else:
            assert server.http.get("/health").status_code == 503
            assert server.http.post("/v1/completions", json=GOLDEN).status_code == 503


def served(*options: str) -> tuple[subprocess.Popen[str], str]:
    """`drex serve` as a process, and its address."""
    code = "import sys; from drex_runtime.cli import main; sys.argv[0] = 'drex'; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "serve", "--port", "0", *options], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://" in line, process.communicate()
    return process, line.rsplit(" ", 1)[1].strip()


def test_sigterm_tells_open_clients_and_a_second_one_ends_at_once() -> None:
    for twice in (False, True):
        process, url = served("--drain-seconds", "60" if twice else "0.2", "--threads", "1")
        until(lambda url=url: _healthy(url), "healthy")
        told = b""
        try:
            with httpx.stream("POST", f"{url}/v1/completions", json={**LONG, "n": 16, "stream": True},
                              timeout=30) as answer:
                parts = answer.iter_raw()
                next(parts)
                process.send_signal(signal.SIGTERM)
                if twice:
                    time.sleep(0.2)
                    process.send_signal(signal.SIGTERM)
                for part in parts:
                    told += part
        except httpx.TransportError:
            assert twice
        _, err = process.communicate(timeout=20)
        assert "Traceback" not in err
        assert (process.returncode == 0 and b"shutting down" in told) or twice
        if twice:
            assert process.returncode == 128 + signal.SIGTERM


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_start_up_errors_are_one_line(tmp_path: Path, server: Running) -> None:
    code = "import sys; from drex_runtime.cli import main; sys.argv[0] = 'drex'; main()"
    for options, word in ((["--port", str(server.port)], "taken"), ([str(tmp_path), "--port", "0"], "config.json")):
        done = subprocess.run([sys.executable, "-c", code, "serve", *options], capture_output=True, text=True)
        assert done.returncode != 0 and word in done.stderr and done.stderr.count("\n") == 1, done.stderr
