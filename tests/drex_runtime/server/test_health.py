"""/health says whether the step loop runs: during a long step it answers, when the loop is dead it fails (27)."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from drex_runtime.policies.yaml_form import parse_policy
from drex_runtime.server.limits import Limits
from tests.drex_runtime.server.running import GOLDEN, LONG, Running, all_of, running, until

IDLER = """
schema: drex-policy/1
name: idler
parameters: {batch_limit: {default: batch_max, low: 1, integer: true}}
launch:
- {rule: prefill, action: PREFILL}
- {rule: never, action: RUN(1), when: ready > n_max}
consult: always
ramp: [{rule: stay, action: CONTINUE}]
join: never
"""


def test_health_answers_during_a_long_step(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = server.golden()
    inside, go_on = threading.Event(), threading.Event()
    segment = server.engine.runner.segment

    def long(*given: Any) -> Any:
        inside.set()
        go_on.wait(20)
        return segment(*given)

    with monkeypatch.context() as patched:
        patched.setattr(server.engine.runner, "segment", long)
        with server.send("/v1/completions", GOLDEN) as wire:
            try:
                assert inside.wait(20)
                begun = time.monotonic()
                for path in ("/health", "/metrics", "/v1/models", "/version"):
                    assert server.http.get(path).status_code == 200
                assert server.http.post("/v1/completions", json={**GOLDEN, "temperature": -1}).status_code == 400
                assert time.monotonic() - begun < 5
            finally:
                go_on.set()
            assert b" 200 " in wire.recv(65536)
    server.wait_until_idle()
    assert server.golden() == golden


def assert_dead(server: Running) -> None:
    """Everything that needs the engine says so at once; what does not still answers."""
    answer = server.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "dead")
    for path, body in (("/v1/completions", GOLDEN), ("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "x"}]})):
        refused = server.http.post(path, json=body)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "engine_dead"
    assert server.http.get("/metrics").status_code == 200


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), SystemExit(1)])
def test_health_fails_when_the_loop_is_dead(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(now: int) -> Any:
        raise error

    with running(limits=Limits(drain_seconds=1)) as server:
        wires = [server.send("/v1/completions", {**LONG, "stream": stream}) for stream in (True, False)]
        until(lambda: server.service.engine.unfinished == 2, "submitted")
        monkeypatch.setattr(server.engine.scheduler, "decide", fails)
        for wire in wires:
            with wire:
                told = all_of(wire)
                assert b"engine_dead" in told and b"on purpose" not in told
        assert_dead(server)


def test_a_policy_that_idles_for_ever_is_told_to_every_client() -> None:
    """Nothing would ever come: a PolicyError, not silence."""
    with running(policy=parse_policy(IDLER, "idler"), limits=Limits(drain_seconds=1)) as server:
        wires = [server.send("/v1/completions", {**LONG, "stream": stream}) for stream in (True, False)]
        for wire in wires:
            with wire:
                told = all_of(wire)
                assert b"engine_dead" in told
        assert "idles for ever" in (server.service.engine.failure or "")
        assert_dead(server)


def test_health_says_that_the_server_is_closing() -> None:
    with running(limits=Limits(drain_seconds=1)) as server:
        server.service.engine.closing = True
        answer = server.http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "closing")
        refused = server.http.post("/v1/completions", json=GOLDEN)
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
