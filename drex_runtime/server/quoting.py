"""Clients' words inside a chat template: they may say anything, but must not become control tokens.

The rendered prompt is one text in which the template's `<|im_start|>` and a client's look alike. So before rendering,
what could be read as a control token in a message (or as the end or the beginning of one, which its neighbour might
complete) is replaced by a number nobody can guess, and after it the text is cut there. The template's pieces are then
encoded with control tokens, the clients' without. A message without such words, as nearly all are, stays whole: its
tokens are those of the plain text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

Piece = tuple[str, bool]
"""Text, and whether control tokens may be read in it."""


class ControlWords:
    """The texts of a tokenizer's control tokens, prepared for looking them up."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = sorted(set(texts), key=len, reverse=True)
        self.longest = len(words[0]) if words else 0
        self.pattern = re.compile("|".join(map(re.escape, words))) if words else None
        self.beginnings = {word[:size] for word in words for size in range(1, len(word))}
        self.ends = {word[-size:] for word in words for size in range(1, len(word))}
        self._words = words

    def parts(self, text: str) -> tuple[str, str, str]:
        """(head, middle, tail): a head that could end a control word, a tail that could begin one."""
        if len(text) <= self.longest and any(text in word for word in self._words):
            return text, "", ""
        sizes = range(min(self.longest - 1, len(text)), 0, -1)
        head = next((text[:size] for size in sizes if text[:size] in self.ends), "")
        tail = next((text[-size:] for size in sizes if text[-size:] in self.beginnings), "")
        if len(head) + len(tail) > len(text):
            return text, "", ""
        return head, text[len(head):len(text) - len(tail)], tail


class Quoting:
    """For one request: `quote` every message, render, `pieces` of what came out."""

    def __init__(self, words: ControlWords) -> None:
        self._words = words
        self._nonce = f"{secrets.randbits(80):025d}"  # digits: no template's filter changes them
        self._numbers: dict[str, int] = {}

    def quote(self, content: str) -> str:
        """A message's text with its control words replaced."""
        core = content.strip()  # templates often strip it themselves, and must find its white space where it was
        if self._words.pattern is None or not core:
            return content
        lead, _, trail = content.partition(core)
        head, middle, tail = self._words.parts(core)
        middle = self._words.pattern.sub(lambda found: self._mark(found[0]), middle)
        return f"{lead}{self._mark(head)}{middle}{self._mark(tail)}{trail}"

    def pieces(self, rendered: str) -> list[Piece]:
        """The rendered prompt, cut at what was replaced."""
        if not self._numbers:
            return [(rendered, True)]
        texts = list(self._numbers)
        parts = [(part, True) if at % 2 == 0 else (texts[int(part)], False)
                 for at, part in enumerate(re.split(rf"{self._nonce}(\d{{6}})", rendered))]
        grouped = groupby((part for part in parts if part[0]), key=itemgetter(1))
        return [("".join(text for text, _ in group), control) for control, group in grouped]

    def _mark(self, text: str) -> str:
        return f"{self._nonce}{self._numbers.setdefault(text, len(self._numbers)):06d}" if text else ""
