"""Text survives the tokenizer, and a growing output is shown in pieces that never change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.model import Tokenizer
from drex_runtime.model.errors import ModelError

TEXTS = ["def f(x):\n    return x + 1\n", "naïve – 東京 🎉🏳️‍🌈 é", "\x00\t \r\n", "", "a" * 300, "\ufffd kept"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(DEMO_FOLDER)


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_stream_shows_the_whole_text(tokenizer: Tokenizer, text: str) -> None:
    stream = tokenizer.stream()
    pieces = [stream.push(i) for i in tokenizer.encode(text)]
    assert "".join(pieces) + stream.finish() == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_stream_of_any_tokens_equals_their_text(tokenizer: Tokenizer) -> None:
    draw = random.Random(0)
    for _ in range(50):
        ids = [draw.randrange(tokenizer.vocab_size) for _ in range(20)]
        stream = tokenizer.stream()
        shown = "".join(stream.push(i) for i in ids) + stream.finish()
        # Broken bytes may be grouped otherwise into replacement characters; real text is the same.
        assert shown.replace("\ufffd", "") == tokenizer.decode(ids).replace("\ufffd", "")


def test_bytes_that_never_become_a_character_are_not_held_for_ever(tokenizer: Tokenizer) -> None:
    (first_byte,) = tokenizer.encode("\u6771")[:1]
    stream = tokenizer.stream()
    shown = [stream.push(first_byte) for _ in range(100)]
    assert len("".join(shown)) > 80
    tail = [stream.push(i) for i in tokenizer.encode("\u6771!")]
    assert ("".join(tail) + stream.finish()).endswith("\u6771!")


def test_special_tokens_are_hidden_unless_asked_for(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([0]) == ""
    assert tokenizer.decode([0], special=True) == "<|endoftext|>"


def test_bad_files_and_texts_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="not a tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(ModelError, match="character 1 is a lone surrogate"):
        tokenizer.encode("a\ud800")
