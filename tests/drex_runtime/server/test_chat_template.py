"""Chat templates: the folder's own in a sandbox, the plain default, refusals as the client's error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from drex_runtime.server.chat import ChatTemplate
from drex_runtime.server.errors import ApiError

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "{{ 7 * 7 }}"}]


def test_the_plain_default_joins_contents() -> None:
    assert ChatTemplate(None).render(MESSAGES) == "be brief\n{{ 7 * 7 }}"


def test_the_folders_template_is_used(tmp_path: Path) -> None:
    source = ("{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
              "{% if add_generation_prompt %}[assistant]{% endif %}")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": source,
                                                                "bos_token": {"content": "<s>"}}))
    expected = "<s>[system]be brief[user]{{ 7 * 7 }}[assistant]"
    assert ChatTemplate.load(tmp_path).render(MESSAGES) == expected


@pytest.mark.parametrize("source", ["{{ raise_exception('roles must alternate') }}",
                                    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ messages.append(1) }}"])
def test_refusals_and_escapes_are_the_clients_error(source: str) -> None:
    with pytest.raises(ApiError) as refused:
        ChatTemplate(source).render(MESSAGES)
    assert refused.value.status_code == 400


def test_a_template_that_is_none_stops_the_start() -> None:
    with pytest.raises(InputError, match="chat_template"):
        ChatTemplate("{% for %}")
