"""Over HTTP the prefix cache shows in usage and metrics and nowhere in the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from typer.testing import CliRunner

from drex_runtime.cli import app
from drex_runtime.execution.memory import KVConfig
from tests.drex_runtime.server.running import GOLDEN, MODEL, Running, running

PROMPT = "def read(path):\n    with open(path) as file:\n        return file.read()\n\n\ndef write(path, text):\n"


@pytest.fixture(scope="module")
def cached() -> Iterator[Running]:
    with running(kv=KVConfig(512, sequences=8, prefix_cache=True)) as found:
        yield found


def ask(server: Running, **fields: Any) -> Any:
    answer = server.http.post("/v1/completions", json={**GOLDEN, "prompt": PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_usage_and_metrics_count_cached_tokens_and_the_text_stays(cached: Running, server: Running) -> None:
    expected = ask(server)
    assert "prompt_tokens_details" not in expected["usage"]
    answers = [ask(cached), ask(cached), ask(cached, n=2, temperature=0)]
    for answer in answers:
        assert {choice["text"] for choice in answer["choices"]} == {expected["choices"][0]["text"]}
    size = expected["usage"]["prompt_tokens"]
    held = (size - 1) // 16 * 16
    assert held and [answer["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in answers] == [0, held, held]
    cached.wait_until_idle()
    text = cached.http.get("/metrics").text
    for prefix in ("drex", "vllm"):
        assert f'{prefix}:prefix_cache_queries_total{{model_name="{MODEL}"}} {4 * size}.0' in text
        assert f'{prefix}:prefix_cache_hits_total{{model_name="{MODEL}"}} {3 * held}.0' in text
        assert f'{prefix}:kv_cache_usage_perc{{model_name="{MODEL}"}} 0.0' in text, "unused entries are not in use"


def test_the_official_client_reads_cached_tokens_from_a_stream(cached: Running) -> None:
    client = openai.OpenAI(base_url=f"{cached.url}/v1", api_key="none", max_retries=0)
    message = {"role": "user", "content": f"class A:\n{PROMPT}"}
    asked: dict[str, Any] = {"model": MODEL, "messages": [message], "max_tokens": 4, "temperature": 0,
                             "stream": True, "stream_options": {"include_usage": True}}
    used = [list(client.chat.completions.create(**asked))[-1].usage for _ in range(2)]
    assert [usage.prompt_tokens_details.cached_tokens > 0 for usage in used] == [False, True]


def test_a_client_that_leaves_in_the_middle_leaves_nothing_held(cached: Running) -> None:
    for _ in range(3):
        with cached.http.stream("POST", "/v1/completions", json={**GOLDEN, "prompt": PROMPT, "stream": True,
                                                                 "max_tokens": 200, "ignore_eos": True}) as answer:
            next(answer.iter_lines())
    cached.wait_until_idle()


def test_generate_reports_the_share_of_cached_tokens() -> None:
    options = ["generate", PROMPT + "a", PROMPT + "b", "--max-num-seqs", "1", "--max-tokens", "3", "--stats"]
    plain = CliRunner().invoke(app, options).stdout
    found = CliRunner().invoke(app, [*options, "--enable-prefix-caching"]).stdout
    assert "prefix cache: " in found and "prefix cache: 0 of" not in found and "prefix cache" not in plain
    assert len(plain) > 200 and found.split("policy ")[0] == plain.split("policy ")[0]
