"""`drex serve` as a process: signals (31), a hard kill and a restart (32), what stops a start (33)."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from drex_runtime import cli
from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.server import run
from tests.drex_runtime.server.running import GOLDEN, LONG, MODEL, Running, all_of, http_request, until

CODE = "import sys; from drex_runtime.cli import main; sys.argv[0] = 'drex'; main()"


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`drex serve` as a process that answers, and its address."""
    process = subprocess.Popen([sys.executable, "-c", CODE, "serve", "--threads", "1", "--served-model-name", MODEL,
                                *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.communicate()
        url = line.rsplit(" ", 1)[1].strip()
        until(lambda: _healthy(url), "healthy")
        yield process, url
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def wire_to(url: str, sent: bytes) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=30)
    wire.sendall(sent)
    return wire


def text_of(url: str) -> str:
    """The golden request's text."""
    return str(httpx.post(f"{url}/v1/completions", json=GOLDEN, timeout=30).json()["choices"][0]["text"])


LONGEST = json.dumps({**LONG, "n": 16, "stream": True}).encode()


@pytest.mark.slow
def test_sigterm_while_busy_tells_open_clients_and_those_that_come_during_the_drain() -> None:
    """A stream under way and one that only waits are told; so is a request whose body arrives during the drain."""
    with served("--port", "0", "--drain-seconds", "1", "--max-num-seqs", "16") as (process, url):
        late = http_request("/v1/completions", json.dumps(GOLDEN).encode())
        running, waiting = wire_to(url, http_request("/v1/completions", LONGEST)), wire_to(
            url, http_request("/v1/completions", json.dumps(LONG).encode()))
        coming = wire_to(url, late[:-5])
        assert running.recv(100)
        process.send_signal(signal.SIGTERM)
        until(lambda: not _healthy(url), "no new connections")
        coming.sendall(late[-5:])
        told = all_of(coming)
        assert b" 503 " in told and b"shutting" in told and b"Retry-After" in told.title()
        assert b"shutting" in all_of(running)
        assert b" 503 " in all_of(waiting)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        for wire in (running, waiting, coming):
            wire.close()


@pytest.mark.slow
def test_a_second_sigterm_tells_clients_and_ends_at_once() -> None:
    with served("--port", "0", "--drain-seconds", "60") as (process, url):
        with (wire_to(url, http_request("/v1/completions", LONGEST)) as stream,
              wire_to(url, http_request("/v1/completions", json.dumps({**LONG, "n": 4}).encode())) as whole):
            assert stream.recv(100)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert b"shutting" in all_of(stream)
            assert b" 503 " in all_of(whole)
            _, err = process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in err
        assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_after_a_hard_kill_the_same_port_serves_again_at_once_and_sigterm_ends_it_when_idle() -> None:
    """Connections of the killed process were open: their remains do not hold the port."""
    with served("--port", "0") as (process, url):
        golden = text_of(url)
        wire = wire_to(url, http_request("/v1/completions", LONGEST))
        assert wire.recv(100)
        process.kill()
        process.wait(20)
        with served("--port", url.rsplit(":", 1)[1]) as (again, same):
            wire.close()
            assert same == url and text_of(same) == golden
            again.send_signal(signal.SIGTERM)
            _, err = again.communicate(timeout=20)
            assert (again.returncode, err) == (0, "")


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `drex serve` says when it does not start: one line, and a code that is not 0."""
    monkeypatch.setattr(sys, "argv", ["drex", "serve", *options])
    with monkeypatch.context() as patched, ExitStack() as opened:  # a process that ends closes its port by itself
        patched.setattr(run, "listen", lambda host, port, listen=run.listen: opened.enter_context(listen(host, port)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
    out, err = capsys.readouterr()
    assert ended.value.code not in (0, None) and err.count("\n") == 1 and err.startswith("drex: "), err
    assert "http://" not in out
    return err


def test_start_up_errors_are_one_line(tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    without_weights, half = tmp_path / "without", tmp_path / "half"
    shutil.copytree(DEMO_FOLDER, without_weights, ignore=shutil.ignore_patterns("*.safetensors"))
    shutil.copytree(DEMO_FOLDER, half)
    whole = (half / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(whole[:len(whole) // 2])
    free = ("--port", "0")
    for options, word in (
            (("--port", str(server.port)), "taken"), ((str(tmp_path), *free), "config.json"),
            ((str(without_weights), *free), "safetensors"), ((str(half), *free), "safetensors"),
            ((*free, "--kv-seqs", "100000000"), "no memory for a KV pool"), ((*free, "--kv-seqs", "0"), "sequences"),
            ((*free, "--admission", "some"), "admission"), ((*free, "--watermark", "1"), "watermark"),
            ((*free, "--seed", "-1"), "seed"), (("--port", "70000"), "--port"), ((*free, "--api-key", ""), "--api-key"),
            ((*free, "--host", "203.0.113.1"), "cannot listen"), ((*free, "--pace-ms", "nan"), "pace_ms"),
            ((*free, "--policy", "nope"), "nope"), ((*free, "--max-model-len", "100000"), "max_model_len")):
        assert word in refused(monkeypatch, capsys, *options), options
