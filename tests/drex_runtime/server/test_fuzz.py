"""The server's own OpenAPI document, fuzzed: no answer is a server error, and the engine is as before."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.drex_runtime.server.running import Running
from tests.scale import scaled


def test_no_request_of_the_document_gives_a_server_error(server: Running) -> None:
    golden = server.golden()
    schema = schemathesis.openapi.from_dict(server.http.get("/openapi.json").json())
    schema.config.update(base_url=server.url)
    examples, sent = scaled(25, 1000, "fuzzed requests of each operation"), 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
                  phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def sends(case: schemathesis.Case) -> None:
            nonlocal sent
            if isinstance(case.body, dict):
                case.body["max_tokens"] = 2  # whatever else is valid stays short
            answer = case.call(timeout=20)
            sent += 1
            assert answer.status_code < 500, (case.body, answer.text)

        sends()
    assert sent >= examples
    server.wait_until_idle()
    assert server.golden() == golden
