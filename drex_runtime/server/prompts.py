"""From what clients sent to token ids: encoding, chat templates, and the length that fits.

Clients' text is text. The words of control tokens in it stay words, in raw prompts as in messages; who wants control
tokens in a raw prompt sends token ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence as Items

from drex_runtime.model import Tokenizer
from drex_runtime.server.chat import ChatTemplate
from drex_runtime.server.errors import ApiError
from drex_runtime.server.protocol import Message
from drex_runtime.server.quoting import ControlWords, Piece, Quoting

LONGEST_TOKEN_CHARACTERS = 256


class Prompts:
    """Makes prompts of one server. What cannot fit `max_model_len` is refused before it is encoded, with ApiError."""

    def __init__(self, tokenizer: Tokenizer | None, template: ChatTemplate, max_model_len: int) -> None:
        self.template, self.max_model_len = template, max_model_len
        self._tokenizer = tokenizer
        self._words = ControlWords(() if tokenizer is None else tokenizer.control_texts)

    async def raw(self, prompts: Items[str | list[int]]) -> list[list[int]]:
        """Token ids of the prompts of a completion."""
        return [await self._encoded([(prompt, False)], special=True) if isinstance(prompt, str)
                else self._fitting(prompt) for prompt in prompts]

    async def chat(self, messages: Items[Message]) -> list[int]:
        """Token ids of a chat, in which only the template's control tokens are such."""
        plain = [message.plain() for message in messages]
        self._check_characters(sum(len(message["content"]) for message in plain))
        if self.template.is_default:
            return await self._encoded([(self.template.render(plain), False)], special=True)
        quoting = Quoting(self._words)
        rendered = self.template.render(
            [{**message, "content": quoting.quote(message["content"])} for message in plain])
        return await self._encoded(quoting.pieces(rendered), special=False)

    async def _encoded(self, pieces: Items[Piece], *, special: bool) -> list[int]:
        self._check_characters(sum(len(text) for text, _ in pieces))
        return self._fitting(await asyncio.to_thread(self._encode, pieces, special))

    def _encode(self, pieces: Items[Piece], special: bool) -> list[int]:
        if self._tokenizer is None:
            raise ApiError(400, "this model has no tokenizer: prompts must be token ids", param="prompt")
        return [token for text, control in pieces
                for token in self._tokenizer.encode(text, special, control=control)]

    def _check_characters(self, count: int) -> None:
        if count > self.max_model_len * LONGEST_TOKEN_CHARACTERS:
            raise self._too_long(f"{count} characters")

    def _fitting(self, ids: list[int]) -> list[int]:
        if len(ids) >= self.max_model_len:
            raise self._too_long(f"{len(ids)} tokens")
        return ids

    def _too_long(self, size: str) -> ApiError:
        return ApiError(400, f"the prompt has {size}; prompt and output share max_model_len = {self.max_model_len} "
                        "tokens", param="prompt", code="context_length_exceeded")
