"""Clients that vanish, floods, faults inside the engine: nothing leaks, everybody is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

import httpx
import pytest

from drex_runtime.server.limits import Limits
from tests.drex_runtime.server.running import GOLDEN, LONG, MODEL, Running, all_of, running, until
from tests.scale import scaled


@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_frees_rows(server: Running, stream: bool) -> None:
    """While running, parked or waiting for a row (25)."""
    golden = server.golden()
    wires = [server.send("/v1/completions", {**LONG, "stream": stream, "prompt": "def" * (1 + at)}) for at in range(12)]
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
        wires = [server.send("/v1/completions", {**LONG, "stream": True}) for _ in range(3)]
        until(lambda: server.service.engine.unfinished == 3, "three submitted")
        answer = server.http.post("/v1/completions", json=LONG)
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert server.http.get("/health").status_code == 200
        for wire in wires:
            wire.close()
        server.wait_until_idle()
        assert server.golden()[0]


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
        wires = [server.send("/v1/completions", {**LONG, "max_tokens": 20, "stream": True}) for _ in range(2)]
        for wire in wires:
            told = all_of(wire)
            assert b"[DONE]" in told and (b'"error"' in told or b'"length"' in told)
            wire.close()
        assert len(calls) >= 4
        if server.service.engine.is_alive:
            server.wait_until_idle()
            assert server.golden()[0]
        else:
            assert server.http.get("/health").status_code == 503
            assert server.http.post("/v1/completions", json=GOLDEN).status_code == 503
