"""Reading a JSON body strictly: one object, bounded depth, no duplicate keys, no NaN, no lone surrogates."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from drex_runtime.errors import shown
from drex_runtime.server.errors import ApiError

LONGEST_NUMBER = 40
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def parse_body(body: bytes, most_depth: int) -> dict[str, Any]:
    """The object of a request body. Raises ApiError 400 that says what is wrong with it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 at byte {error.start}") from error
    _check_depth(text, most_depth)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer,
                           parse_float=_number)
    except json.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, f"the body must be a JSON object, not {type(value).__name__}")
    _check_text(value)
    return value


def _check_depth(text: str, most: int) -> None:
    """Counts brackets outside strings, so that the parser never recurses further than allowed."""
    if text.count("[") + text.count("{") <= most:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        first = text[found.start()]
        if first in "[{":
            depth += 1
            if depth > most:
                raise ApiError(400, f"the body is nested deeper than {most}")
        elif first in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ApiError(400, f"the key {shown(twice)} occurs twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise ApiError(400, f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ApiError(400, f"a number has {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ApiError(400, f"the number {shown(text)} is too large")
    return value


def _check_text(value: Any) -> None:
    """Lone surrogates (valid in JSON escapes, impossible in UTF-8) are refused wherever they stand."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, str) and not item.isascii():
            try:
                item.encode("utf-8")
            except UnicodeEncodeError as error:
                raise ApiError(400, f"a string holds a lone surrogate at character {error.start}") from error
