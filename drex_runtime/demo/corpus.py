"""Text that ships with Python, as documents split into training and held-out by name.

Documents are source files of the standard library and the help topics of `pydoc`. Which side a
document falls on depends on its name and the seed only, so a document held out on one Python version
is held out on every other, and a test can draw held-out text wherever it runs.
"""

from __future__ import annotations

import hashlib
import importlib
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from drex_runtime.errors import DrexError

HELD_OUT_PERCENT = 8
SMALLEST, LARGEST = 400, 300_000
# Tests are absent from many installations; `encodings` is tables; the rest is not Python's own.
SKIPPED_FOLDERS = frozenset(
    ("test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "pydoc_data", "_bundled")
)
SKIPPED_PREFIXES = ("_sysconfigdata", "config-", "lib-dynload")


@dataclass(frozen=True)
class Document:
    """One text with the name that identifies it, e.g. `json/decoder.py` or `topic:with`."""

    name: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Documents in name order, those to train on and those to measure on."""

    training: tuple[Document, ...]
    held_out: tuple[Document, ...]


def is_held_out(name: str, seed: int) -> bool:
    """Whether a document is kept from training, decided by its name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < HELD_OUT_PERCENT


def read_corpus(seed: int) -> Corpus:
    """All documents of the running Python. Raises CorpusError where its library has no source files."""
    documents: dict[str, Document] = {}
    for document in (*_library_documents(Path(sysconfig.get_path("stdlib"))), *_topic_documents()):
        # The same text under two names must not stand on both sides.
        digest = hashlib.sha256(document.text.encode()).hexdigest()
        documents.setdefault(digest, document)
    ordered = sorted(documents.values(), key=lambda document: document.name)
    corpus = Corpus(
        training=tuple(d for d in ordered if not is_held_out(d.name, seed)),
        held_out=tuple(d for d in ordered if is_held_out(d.name, seed)),
    )
    if not corpus.training or not corpus.held_out:
        raise CorpusError(f"{sysconfig.get_path('stdlib')}: no Python source files to learn from")
    return corpus


class CorpusError(DrexError):
    """This Python has no library source to train on."""


def _library_documents(root: Path) -> list[Document]:
    documents = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if SKIPPED_FOLDERS.intersection(parts) or parts[0].startswith(SKIPPED_PREFIXES):
            continue
        if not SMALLEST <= path.stat().st_size <= LARGEST:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a few files declare another encoding
        documents.append(Document("/".join(parts), text))
    return documents


def _topic_documents() -> list[Document]:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return [Document(f"topic:{name}", text) for name, text in sorted(topics.items()) if len(text) >= SMALLEST]
