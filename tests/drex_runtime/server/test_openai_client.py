"""The official client is served as it expects: both endpoints, streaming and not."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.drex_runtime.server.running import MODEL, Running, running

PROMPT = "def read(path):"


@pytest.fixture
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def complete(client: openai.OpenAI, **options: Any) -> Any:
    """A greedy completion of PROMPT."""
    return client.completions.create(**{"model": MODEL, "prompt": PROMPT, "max_tokens": 16, "temperature": 0,
                                        **options})


def chat(client: openai.OpenAI, **options: Any) -> Any:
    """A greedy chat of one message."""
    return client.chat.completions.create(**{
        "model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 16, "temperature": 0,
        **options})


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


def test_completion_and_its_stream_are_the_same(client: openai.OpenAI, server: Running) -> None:
    whole = complete(client)
    assert whole.object == "text_completion" and whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 16
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 16
    chunks = list(complete(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1
    server.wait_until_idle()


def test_chat_and_its_stream_are_the_same(client: openai.OpenAI) -> None:
    whole = chat(client)
    message = whole.choices[0].message
    assert whole.object == "chat.completion" and message.role == "assistant"
    assert message.content == complete(client).choices[0].text
    chunks = list(chat(client, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings(client: openai.OpenAI, stream: bool) -> None:
    free = complete(client).choices[0].text
    stop = free[6:9]
    answer = complete(client, stop=[stop], stream=stream)
    if stream:
        chunks = list(answer)
        text, reason = "".join(chunk.choices[0].text for chunk in chunks), chunks[-1].choices[0].finish_reason
    else:
        text, reason = answer.choices[0].text, answer.choices[0].finish_reason
    assert (text, reason) == (free[:free.index(stop)], "stop")


def test_logprobs(client: openai.OpenAI) -> None:
    plain = complete(client, logprobs=3).choices[0]
    assert len(plain.logprobs.tokens) == len(plain.logprobs.token_logprobs) == 16
    assert "".join(plain.logprobs.tokens) == plain.text
    assert all(plain.text.startswith(word, at) for word, at in
               zip(plain.logprobs.tokens, plain.logprobs.text_offset, strict=True))
    content = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    for entry in content:
        assert len(entry.top_logprobs) == 2 and entry.top_logprobs[0].token == entry.token
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
    assert [entry.token for entry in content] == plain.logprobs.tokens
    chunks = list(chat(client, logprobs=True, stream=True))
    assert [entry.token for chunk in chunks if chunk.choices[0].logprobs
            for entry in chunk.choices[0].logprobs.content] == plain.logprobs.tokens


def test_n_and_seed(client: openai.OpenAI) -> None:
    options = {"n": 3, "temperature": 1.0, "seed": 4}
    first, again = complete(client, **options), complete(client, **options)
    texts = [choice.text for choice in first.choices]
    assert len(set(texts)) == 3 and texts == [choice.text for choice in again.choices]
    assert first.usage.completion_tokens == 48
    streamed = ["", "", ""]
    for chunk in complete(client, stream=True, **options):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == texts
    assert [choice.text for choice in complete(client, **{**options, "seed": 5}).choices] != texts
    assert len(chat(client, n=2).choices) == 2


def test_several_prompts_and_token_ids(client: openai.OpenAI) -> None:
    both = complete(client, prompt=[PROMPT, "import"])
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[0].text == complete(client).choices[0].text
    ids = [[104, 105], [104]]
    assert len(complete(client, prompt=ids).choices) == 2 and len(complete(client, prompt=ids[0]).choices) == 1


def test_fields_of_early_exit(client: openai.OpenAI) -> None:
    deep = complete(client, extra_body={"exit_threshold": 1, "return_exit_layers": True, "deadline_ms": 60000,
                                        "ttft_ms": 500, "tpot_ms": 50, "ignore_eos": True, "top_k": -1, "min_p": 0.0})
    early = complete(client, extra_body={"exit_threshold": 0, "return_exit_layers": True, "min_tokens": 4})
    deepest = deep.choices[0].exit_layers[0]
    assert set(deep.choices[0].exit_layers) == {deepest}
    assert len(early.choices[0].exit_layers) == 16 and max(early.choices[0].exit_layers[1:]) < deepest


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        complete(client, model="other")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        complete(client, temperature=-1)
    with pytest.raises(openai.BadRequestError, match="max_model_len"):
        complete(client, max_tokens=10**6)


def test_a_key_is_required_where_one_is_set() -> None:
    with running(api_key="secret") as server:
        for path, status in (("/v1/models", 401), ("/metrics", 401), ("/openapi.json", 401), ("/health", 200)):
            assert server.http.get(path).status_code == status
        for key, good in (("wrong", False), ("secret", True)):
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
            if good:
                assert complete(client).choices
            else:
                with pytest.raises(openai.AuthenticationError):
                    complete(client)
