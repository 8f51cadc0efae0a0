"""Rows of CSV and JSONL files, streamed by column name; every error names file, line and column.

Accepts a BOM, CRLF, quoted commas and blank lines. A line, like a field, has a length limit, so that a
file without line ends cannot fill the memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from drex_runtime.errors import InputError

MAX_LINE = 1 << 24
BOM = b"\xef\xbb\xbf"


class NumberText(str):
    """A JSON number kept as the text it had in the file."""

    __slots__ = ()


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of every line. InputError for unreadable files, bad UTF-8, long lines."""
    number = 0
    try:
        with path.open("rb") as stream:
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise InputError(str(path), f"line {number}", f"over {MAX_LINE} bytes", "shorter lines")
                yield number, (raw.removeprefix(BOM) if number == 1 else raw).decode("utf-8")
    except OSError as error:
        raise InputError(str(path), "file", error.strerror, "a readable file") from error
    except UnicodeDecodeError as error:
        bad = error.object[error.start : error.start + 8]
        raise InputError(str(path), f"line {number}", bad, "UTF-8 text") from error


def csv_header(path: Path) -> list[str]:
    """The column names of a CSV file; InputError if one occurs twice or there is none."""
    for _, names in _csv(path):
        return _checked_header(path, names)
    raise InputError(str(path), "file", "nothing", "a header line and rows")


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, texts of `columns` in that order) of every row after the header."""
    rows = _csv(path)
    _, first = next(rows, (0, list[str]()))
    header = _checked_header(path, first)
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(str(path), f"column {missing[0]}", "missing", f"columns {', '.join(columns)}")
    places = [header.index(name) for name in columns]
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(str(path), f"line {line}", f"{len(row)} fields", f"{len(header)}, as in the header")
        yield line, [row[place] for place in places]


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((text for _, text in lines(path)), strict=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(str(path), f"line {reader.line_num}", str(error), "comma-separated fields") from error


def _checked_header(path: Path, names: list[str]) -> list[str]:
    header = [name.strip() for name in names]
    for name in header:
        if header.count(name) > 1:
            raise InputError(str(path), "column", name, "each column name once")
    return header


def json_rows(path: Path, cut: list[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of every line; numbers stay text (`NumberText`).

    With `cut`, a last line that has no line end and is no JSON is left out and its number appended there: the writer
    was killed in the middle of it.
    """
    for number, text in lines(path):
        if not text.strip():
            continue
        if cut is not None and not text.endswith("\n") and not _is_json(text):
            cut.append(number)
            return
        yield number, _json_object(path, number, text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_object(path: Path, line: int, text: str) -> dict[str, Any]:
    where = f"line {line}"

    def constant(name: str) -> Any:
        raise InputError(str(path), where, name, "finite numbers")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise InputError(str(path), where, "a key given twice", "each key once")
        return found

    try:
        value = json.loads(text, parse_int=NumberText, parse_float=NumberText, parse_constant=constant,
                           object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InputError(str(path), f"{where} column {error.colno}", error.msg, "one JSON object per line") from error
    except RecursionError as error:
        raise InputError(str(path), where, "nesting too deep", "a few levels") from error
    if not isinstance(value, dict):
        raise InputError(str(path), where, value, "one JSON object per line")
    return value


def json_number(path: Path, line: int, row: dict[str, Any], key: str) -> str:
    """The text of a number field (a number in quotes counts)."""
    value = row.get(key)
    if not isinstance(value, str):
        raise InputError(str(path), f"line {line}, {key}", "missing" if key not in row else value, "a number")
    return value


