"""Prompts, vocabularies and stop strings at their limits, over HTTP: refused or served, never in between."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drex_runtime
from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import LONGEST_STOP, MOST_STOPS, SamplingParams
from drex_runtime.execution.text_output import TextOutput
from drex_runtime.model import Tokenizer
from tests.drex_runtime.model.configs import small_model
from tests.drex_runtime.server.running import MODEL, Running, running

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
CAPACITY = 40


@pytest.fixture(scope="module")
def tight() -> Iterator[Running]:
    """A server whose whole KV pool holds one request, far shorter than the model's context."""
    with running(max_num_seqs=4, kv=KVConfig(CAPACITY, block_cells=16, watermark=0.0)) as server:
        assert server.engine.intake.max_model_len > 10 * CAPACITY
        yield server


def status(server: Running, **fields: Any) -> int:
    return server.http.post(COMPLETIONS, json={"model": MODEL, "ignore_eos": True, **fields}).status_code


@pytest.mark.parametrize("stream", [False, True])
def test_prompts_at_the_limit_beyond_it_and_longer_than_the_whole_pool(tight: Running, stream: bool) -> None:
    """Without max_tokens an output takes what the pool leaves (10)."""
    golden = tight.golden()
    for count, tokens, expected in ((CAPACITY - 1, 1, 200), (CAPACITY - 1, None, 200), (CAPACITY - 2, 3, 200),
                                    (CAPACITY - 2, 4, 400), (CAPACITY, 1, 400), (CAPACITY + 1, 1, 400),
                                    (CAPACITY + 1, None, 400), (100 * CAPACITY, 1, 400), (3, CAPACITY, 400)):
        limit = {} if tokens is None else {"max_tokens": tokens}
        assert status(tight, prompt=[5] * count, stream=stream, **limit) == expected, (count, tokens)
    for text, expected in (("x", 200), ("x" * 1000, 400), ("x" * 10**6, 400)):
        chat = {"messages": [{"role": "user", "content": text}], "stream": stream}
        assert tight.http.post(CHAT, json=chat).status_code == expected
    tight.wait_until_idle()
    assert tight.golden() == golden


def test_many_requests_over_a_pool_for_one_all_end(tight: Running) -> None:
    """They preempt each other over and over; every text is that of the request alone (30)."""
    golden, fields = tight.golden(), {"model": MODEL, "max_tokens": 30, "temperature": 0, "ignore_eos": True}
    prompts = ["def f(", "import", "class A", "x = ", "return", "for i"]
    alone = [tight.http.post(COMPLETIONS, json={**fields, "prompt": prompt}).json()["choices"][0]["text"]
             for prompt in prompts]
    before = tight.engine.statistics.preemptions
    together = tight.http.post(COMPLETIONS, json={**fields, "prompt": prompts}).json()["choices"]
    assert [choice["text"] for choice in together] == alone
    assert tight.engine.statistics.preemptions > before
    tight.wait_until_idle()
    assert tight.golden() == golden


@pytest.mark.parametrize("vocabulary", [900, 1100])
def test_a_model_and_a_tokenizer_of_different_sizes(vocabulary: int) -> None:
    """Ids the model has but the tokenizer does not are served as no text, those it has not are refused (7)."""
    model = small_model(vocab_size=vocabulary, early_exit={"ramps": [2], "thresholds": ["0.1"]})
    tokenizer = Tokenizer.load(DEMO_FOLDER)
    with running(llm=LLM(model, tokenizer=tokenizer, max_num_seqs=4)) as server:
        def golden() -> Any:
            fields = {"model": MODEL, "prompt": [5, 6, 7], "max_tokens": 12, "temperature": 0}
            return server.http.post(COMPLETIONS, json=fields).json()["choices"]

        before = golden()
        assert tokenizer.vocab_size == 1024
        assert status(server, prompt=[vocabulary - 1], max_tokens=2) == 200
        assert status(server, prompt=[vocabulary], max_tokens=2) == 400
        assert status(server, prompt="x", max_tokens=2, logit_bias={str(vocabulary): 1}) == 400
        if vocabulary > 1024:
            for stream in (False, True):
                forced = {"allowed_token_ids": [1050], "logprobs": 3, "max_tokens": 3, "stream": stream}
                assert status(server, prompt="x", **forced) == 200
        else:
            text = next(text for text in (tokenizer.decode([token]) for token in range(vocabulary, 1024))
                        if len(text) > 2 and "\ufffd" not in text)
            ids = tokenizer.encode(text)
            assert status(server, prompt=text, max_tokens=2) == (400 if max(ids) >= vocabulary else 200)
        server.wait_until_idle()
        assert golden() == before


def test_stop_strings_that_nearly_match_for_ever_cost_little() -> None:
    """No patterns, only strings, and bounded ones (13): the worst of them on the worst text."""
    tokenizer = Tokenizer.load(DEMO_FOLDER)
    (letter,) = tokenizer.encode("a")
    stops = tuple("a" * (LONGEST_STOP - 1 - at) + "b" for at in range(MOST_STOPS))
    output, begun = TextOutput(tokenizer, SamplingParams(stop=stops)), time.monotonic()
    shown = "".join(output.push(letter) for _ in range(2000)) + output.finish()
    assert shown == "a" * 2000
    assert time.monotonic() - begun < 20


def test_every_cache_of_the_product_has_a_bound() -> None:
    """`lru_cache(None)` and `cache` only where there is no argument, so that nobody's input can fill them (14)."""
    root, found = Path(drex_runtime.__file__).parent, 0
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for decorator in getattr(node, "decorator_list", []):
                text = ast.unparse(decorator)
                if text.split("(")[0].rpartition(".")[2] not in ("cache", "lru_cache"):
                    continue
                found += 1
                bounded = isinstance(decorator, ast.Call) and any(
                    word.arg == "maxsize" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, int)
                    for word in decorator.keywords)
                arguments = node.args.args if isinstance(node, ast.FunctionDef) else []
                assert bounded or not arguments, f"{path}: {text}"
    assert found
