"""Requests nobody should send: the right status and a message; afterwards a golden request is unchanged and nothing
is leaked. The numbers are those of the project's list of bad inputs."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.drex_runtime.server.running import MODEL, Running
from tests.scale import scaled

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
Fields = dict[str, Any]


def body_of(path: str, fields: Fields) -> Fields:
    """A small good request to an entry point, changed by `fields`."""
    start: Fields = {"model": MODEL, "max_tokens": 4}
    start |= {"prompt": "import"} if path == COMPLETIONS else {"messages": [{"role": "user", "content": "import"}]}
    return {**start, **fields}


@pytest.fixture(scope="module")
def golden(server: Running) -> tuple[str, list[int]]:
    return server.golden()


@pytest.fixture(autouse=True)
def unharmed(server: Running, golden: tuple[str, list[int]]) -> Any:
    yield
    server.wait_until_idle()
    assert server.golden() == golden


def raw(server: Running, path: str, body: bytes) -> int:
    """Status of a body sent as it is; the error is OpenAI's object and shows no traceback."""
    answer = server.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text
    return answer.status_code


# Values that JSON can hold (1 to 9, 11, 13, 15 to 17).
SHARED: list[Fields] = [
    {"temperature": -1}, {"temperature": 1e308}, {"temperature": "hot"}, {"temperature": True},
    {"top_p": 0}, {"top_p": -0.5}, {"top_p": 1.5}, {"top_k": -2}, {"top_k": 2**70}, {"min_p": 2},
    {"presence_penalty": 1e308}, {"frequency_penalty": -3}, {"repetition_penalty": 0},
    {"n": 10**9}, {"n": 0}, {"n": 128.5}, {"n": -1},
    {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 2**63}, {"max_tokens": 10**5}, {"min_tokens": 9},
    {"logit_bias": {"5000000": 1}}, {"logit_bias": {"x": 1}}, {"logit_bias": {"-1": 1}}, {"logit_bias": {"5": 1e9}},
    {"stop_token_ids": [1024]}, {"stop_token_ids": [-1]}, {"allowed_token_ids": []}, {"allowed_token_ids": [10**9]},
    {"banned_token_ids": [5279552648203111001]}, {"banned_token_ids": [*range(1024)]},
    {"stop": ""}, {"stop": ["x"] * 100}, {"stop": "x" * 10**5}, {"stop": [1]}, {"seed": -1}, {"seed": 2**64},
    {"exit_threshold": -0.1}, {"exit_threshold": 1.1}, {"deadline_ms": 0}, {"deadline_ms": -5}, {"ttft_ms": 1e300},
    {"tpot_ms": -1}, {"stream_options": {"include_usage": True}}, {"stream": "yes"}, {"unknown_field": 1},
    {"chat_template_kwargs": {"tokenize": True}}, {"chat_template": "{{ 1 }}"}, {"prompt_embeds": "AAAA"},
    {"response_format": {"type": "json_object"}}, {"n": 129},
]
OF_COMPLETIONS: list[Fields] = [
    {"prompt": ""}, {"prompt": []}, {"prompt": [""]}, {"prompt": [[]]}, {"prompt": None}, {"prompt": 5},
    {"prompt": ["x"] * 10**5}, {"prompt": [-1]}, {"prompt": [[-1]]}, {"prompt": [1024]}, {"prompt": [True]},
    {"prompt": [5279552648203111001]}, {"prompt": ["a", 1]}, {"prompt": [[1], "a"]}, {"prompt": [1.5]},
    {"prompt": [5] * 2048}, {"prompt": [5] * 2049}, {"prompt": "x " * 10**6}, {"prompt": ["a"] * 64, "n": 3},
    {"logprobs": 10**6}, {"logprobs": -1}, {"echo": True}, {"echo": True, "logprobs": 1}, {"best_of": 10**9},
    {"suffix": "end"},
]
OF_CHAT: list[Fields] = [
    {"messages": []}, {"messages": "hi"}, {"messages": [{"role": "user"}]}, {"messages": [{"content": "x"}]},
    {"messages": [{"role": "root", "content": "x"}]}, {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]}]},
    {"messages": [{"role": "user", "content": "x" * 10**6}]}, {"messages": [{"role": "user", "content": "x"}] * 2000},
    {"logprobs": True, "top_logprobs": 10**4}, {"top_logprobs": 2}, {"tools": [{"type": "function"}]},
    {"max_completion_tokens": 5},
]


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("stream", [False, True])
def test_values_out_of_range(server: Running, path: str, stream: bool) -> None:
    for fields in [*SHARED, *(OF_COMPLETIONS if path == COMPLETIONS else OF_CHAT)]:
        body = body_of(path, {"stream": stream, **fields})
        if stream and "stream_options" in fields:
            continue
        status = raw(server, path, json.dumps(body).encode())
        assert status == 400, (fields, status)
    assert raw(server, path, json.dumps(body_of(path, {"model": "../../etc/passwd"})).encode()) == 404


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b'"text"', b"{", b"{}{}", b'{"model": "demo"} trailing', b"\xff\xfe", b"\x00",
    b'{"prompt": "x", "prompt": "y"}', b'{"temperature": NaN}', b'{"temperature": Infinity}', b'{"temperature": 1e999}',
    b'{"prompt": "\\ud800"}', b'{"n": ' + b"9" * 10**4 + b"}", b"[" * 10**5, b'{"a":' * 10**5,
    b'{"prompt": "' + b"[" * 100 + b'", "temperature": [[[[[[[[[[]]]]]]]]]]}',
], ids=lambda body: repr(body[:20]))
def test_bodies_that_are_not_a_plain_object(server: Running, path: str, body: bytes) -> None:
    assert raw(server, path, body) == 400


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
def test_a_body_is_refused_by_its_size_before_it_is_read(server: Running, path: str) -> None:
    """Also where the length is not stated, or is a lie (20 to 22)."""
    assert raw(server, path, b" " * (4 * 2**20 + 1)) == 413
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n\r\n".encode())
        assert b" 413 " in wire.recv(4096)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for _ in range(70):
                wire.sendall(b"10000\r\n" + b" " * 2**16 + b"\r\n")
        except OSError:
            pass  # the server has closed already
        else:
            assert b" 413 " in wire.recv(4096)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01" + bytes(range(256)), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 10**4,
                                   b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 10**6,
                                   b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                                   b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}"])
def test_noise_on_the_port(server: Running, noise: bytes) -> None:
    """Random bytes, header floods, wrong lengths: the connection ends, nothing else does (20, 21, 23)."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        try:
            wire.sendall(noise)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(4096):
                pass
        except OSError:
            pass  # reset by the server


def test_many_tiny_chunks(server: Running) -> None:
    size = scaled(500, 50_000, "chunks of one byte in a body")
    body = json.dumps(body_of(COMPLETIONS, {"prompt": "x" * 500, "user": "u" * size})).encode()
    answer = server.http.post(COMPLETIONS, content=(bytes([byte]) for byte in body),
                              headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("prompt", ["\x00", "a\x00b", "é\u200b\U0001f600", "\ufffd", [5] * 2047, [0], "x"])
def test_strange_but_good_prompts(server: Running, prompt: Any) -> None:
    body = body_of(COMPLETIONS, {"prompt": prompt, "max_tokens": 1})
    assert server.http.post(COMPLETIONS, json=body).status_code == 200


def test_output_that_ends_inside_a_character(server: Running) -> None:
    """Only the first byte of a two-byte character may be chosen (19)."""
    tokenizer = server.service.engine.llm.tokenizer
    assert tokenizer is not None
    half = next(token for token in tokenizer.encode("é") if tokenizer.decode([token]) == "\ufffd")
    fields = {"allowed_token_ids": [half], "max_tokens": 3}
    whole = server.http.post(COMPLETIONS, json=body_of(COMPLETIONS, fields)).json()["choices"][0]["text"]
    text = ""
    with server.http.stream("POST", COMPLETIONS, json=body_of(COMPLETIONS, {**fields, "stream": True})) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["text"]
    assert text == whole and set(text) == {"\ufffd"}


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_every_sampling_option_on_every_way_out(server: Running, threshold: float) -> None:
    """Streamed text equals the whole text whatever the options (12)."""
    for fields in ({"temperature": 0}, {"seed": 3, "top_k": 5}, {"seed": 3, "top_p": 0.8, "min_p": 0.05},
                   {"seed": 1, "presence_penalty": 1, "frequency_penalty": 1, "repetition_penalty": 1.2},
                   {"temperature": 0, "logit_bias": {"5": 3}, "banned_token_ids": [7], "min_tokens": 6},
                   {"temperature": 0, "stop": ["e"], "min_tokens": 2, "include_stop_str_in_output": True},
                   {"seed": 9, "n": 3, "logprobs": 2, "return_exit_layers": True, "stop_token_ids": [300]}):
        asked = body_of(COMPLETIONS, {"exit_threshold": threshold, "max_tokens": 8, **fields})
        choices = server.http.post(COMPLETIONS, json=asked).json()["choices"]
        texts = [""] * len(choices)
        with server.http.stream("POST", COMPLETIONS, json={**asked, "stream": True}) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    (choice,) = json.loads(line[6:])["choices"]
                    texts[choice["index"]] += choice["text"]
        assert texts == [choice["text"] for choice in choices]
