"""Chat messages as one prompt: the model folder's Jinja template in a sandbox, else the messages' texts by line."""

from __future__ import annotations

import json
from collections.abc import Sequence as Items
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from drex_runtime.errors import InputError
from drex_runtime.server.errors import ApiError


class ChatTemplate:
    """`chat_template` of a tokenizer_config.json (or chat_template.jinja), given nothing but messages and the special
    tokens' texts.

    A folder without one gets the plain default: the contents of all messages, joined by line ends, no role names.
    That fits a model that only continues text, such as the demo model. InputError for a template that is not one.
    """

    def __init__(self, source: str | None, special: dict[str, str] | None = None, where: str = "chat template") -> None:
        self.special = special or {}
        self._template: jinja2.Template | None = None
        if source is not None:
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            environment.globals["raise_exception"] = _refuse
            try:
                self._template = environment.from_string(source)
            except jinja2.TemplateError as error:
                raise InputError(where, "chat_template", str(error), "a Jinja template") from error

    @classmethod
    def load(cls, folder: Path) -> ChatTemplate:
        """The template of a model folder, or the plain default."""
        path, alone = folder / "tokenizer_config.json", folder / "chat_template.jinja"
        config: dict[str, Any] = {}
        if path.is_file():
            try:
                config = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, OSError) as error:
                raise InputError(str(path), "file", str(error), "a JSON object") from error
        source = alone.read_text(encoding="utf-8") if alone.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several named templates
            source = next((each.get("template") for each in source if each.get("name") == "default"), None)
        special = {name: token["content"] if isinstance(token, dict) else token
                   for name in ("bos_token", "eos_token", "pad_token", "unk_token") if (token := config.get(name))}
        return cls(source, special, str(path))

    @property
    def is_default(self) -> bool:
        """Whether the folder has no template."""
        return self._template is None

    def render(self, messages: Items[dict[str, str]]) -> str:
        """The prompt's text. ApiError 400 where the template refuses the messages."""
        if self._template is None:
            return "\n".join(message["content"] for message in messages)
        try:
            return self._template.render(messages=list(messages), add_generation_prompt=True, **self.special)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise ApiError(400, f"the chat template refuses these messages: {error}", param="messages") from error


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
