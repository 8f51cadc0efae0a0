"""Text to token ids and back, from a `tokenizer.json`; ids to text piece by piece while they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers

from drex_runtime.model.errors import ModelError

MOST_HELD = 8
"""Tokens that a stream holds before it gives up on bytes that never became a character."""


class Tokenizer:
    """A Hugging Face `tokenizer.json`.

    `encode` adds the special tokens of the file's template only on request, and only on request (`control`) does it
    read a special token's text, such as `<|endoftext|>`, as that token: text of strangers must not be able to end a
    turn or begin one. `decode` leaves special tokens out unless asked. Text that cannot be UTF-8 (lone surrogates) is
    refused with ModelError.
    """

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        self._inner = self._plain = inner
        self.control_texts = tuple(token.content for token in inner.get_added_tokens_decoder().values()
                                   if token.special and token.content)
        """The texts of the special tokens."""
        if self.control_texts:  # a second one: the switch belongs to the whole object, which threads share
            self._plain = tokenizers.Tokenizer.from_str(inner.to_str())
            self._plain.encode_special_tokens = True

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read `folder/tokenizer.json`. Raises ModelError where it is missing or not a tokenizer."""
        path = folder / "tokenizer.json"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: not UTF-8 text at byte {error.start}") from error
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, source: str) -> Tokenizer:
        """Build from the text of a tokenizer.json; `source` names it in errors."""
        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:
            if type(error) is not Exception:  # the library's own parse errors are bare Exceptions
                raise
            raise ModelError(f"{source}: not a tokenizer: {error}") from error
        return cls(inner)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return self._inner.get_vocab_size(with_added_tokens=True)

    def token_id(self, token: str) -> int | None:
        """Id of one token's text, None where it is not in the vocabulary."""
        return self._inner.token_to_id(token)

    def encode(self, text: str, special: bool = False, *, control: bool = False) -> list[int]:
        """Token ids of a text; `special` adds what the file's template adds (e.g. a start token).

        `control`: texts of special tokens become these tokens, for text of trust: the user's own, a chat template's.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            where = f"text: character {error.start}"
            raise ModelError(f"{where} is a lone surrogate, which UTF-8 cannot hold") from error
        return (self._inner if control else self._plain).encode(text, add_special_tokens=special).ids

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of token ids; bytes that are not whole UTF-8 characters become U+FFFD."""
        return self._inner.decode(list(ids), skip_special_tokens=not special)

    def stream(self, special: bool = False) -> TextStream:
        """A detokenizer for one growing output."""
        return TextStream(self, special)


class TextStream:
    """Turns tokens that arrive one by one into text that never changes afterwards.

    A token may end inside a character: its text is held back until the character is whole or the
    output ends. Only a short window is decoded per token, so the cost does not grow with the output.
    """

    def __init__(self, tokenizer: Tokenizer, special: bool = False) -> None:
        self._tokenizer = tokenizer
        self._special = special
        self._window: list[int] = []
        self._shown = ""

    def push(self, token: int) -> str:
        """Text that became certain with this token, often one piece, sometimes empty."""
        self._window.append(token)
        text = self._text()
        if text.endswith("\ufffd"):
            return self._give_up_on_old_bytes() if len(self._window) > MOST_HELD else ""
        piece = text[len(self._shown) :]
        # The last token stays as left context: some decoders treat the first token of a text apart.
        self._window = self._window[-1:]
        self._shown = self._text()
        return piece

    def _give_up_on_old_bytes(self) -> str:
        """Show what can no longer become a character: of four bytes, at most three tokens are incomplete."""
        piece = self._tokenizer.decode(self._window[:-3], self._special)[len(self._shown) :]
        self._window, self._shown = self._window[-3:], ""
        return piece

    def finish(self) -> str:
        """What was held back when the output ends, incomplete bytes as U+FFFD."""
        piece = self._text()[len(self._shown) :]
        self._window, self._shown = [], ""
        return piece

    def _text(self) -> str:
        return self._tokenizer.decode(self._window, self._special)
