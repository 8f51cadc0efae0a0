"""The demo's text: documents of this Python, split by name so that held-out stays held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.demo import corpus
from drex_runtime.demo.corpus import CorpusError, is_held_out, read_corpus


def test_documents_fall_on_one_side_by_name() -> None:
    whole = read_corpus(0)
    assert all(is_held_out(document.name, 0) for document in whole.held_out)
    assert not any(is_held_out(document.name, 0) for document in whole.training)
    texts = [{document.text for document in side} for side in (whole.training, whole.held_out)]
    assert not texts[0] & texts[1]
    sizes = [sum(len(document.text) for document in side) for side in (whole.training, whole.held_out)]
    assert 0.02 < sizes[1] / sum(sizes) < 0.2


def test_the_split_is_the_same_everywhere() -> None:
    assert is_held_out("shlex.py", 0) and is_held_out("topic:yield", 0)
    assert not is_held_out("json/decoder.py", 0)
    assert read_corpus(0) == read_corpus(0)
    assert read_corpus(1).held_out != read_corpus(0).held_out


def test_a_python_without_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(corpus, "_topic_documents", list)
    with pytest.raises(CorpusError, match="no Python source files"):
        read_corpus(0)
