"""Versioned JSON files of immutable records: strict reading, atomic writing.

A record file is a JSON object `{"schema": "<name>/<version>", ...fields}`. Reading is strict: duplicate
keys, NaN/Infinity, unknown or missing fields and wrong types are errors that name file, field and value.
Writing goes to a temporary name in the same folder and is renamed, so a reader never sees half a file.
"""

from __future__ import annotations

import json
import os
import tempfile
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from drex_runtime.errors import InputError

Record = TypeVar("Record")
MAX_JSON_BYTES = 1 << 30
MAX_DIGITS = 1000


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` to `path` through a temporary file and a rename; nothing half-written remains."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise InputError(str(path), "file", error.strerror, "a writable path with free space") from error
    finally:  # also after Ctrl-C
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def read_text(path: Path, limit: int = MAX_JSON_BYTES) -> str:
    """The UTF-8 text of `path` (BOM accepted); size is checked before reading."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            raw = stream.read(limit + 1) if size <= limit else b""  # a pipe has size 0 and any length
        if max(size, len(raw)) > limit:
            raise InputError(str(path), "size", f"{max(size, len(raw))} bytes", f"at most {limit} bytes")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(str(path), "file", error.strerror, "a readable file") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"byte {error.start}", error.object[error.start], "UTF-8 text") from error


def parse_json(text: str, source: str) -> Any:
    """JSON with what the standard parser lets through refused: NaN, Infinity, duplicate keys, deep nesting."""

    def constant(name: str) -> Any:
        raise InputError(source, "number", name, "a finite JSON number")

    def decimal(digits: str) -> float:
        value = float(digits)
        return value if isfinite(value) else constant(digits)

    def integer(digits: str) -> int:
        if len(digits) > MAX_DIGITS:  # Python refuses to convert thousands of digits, with a bare ValueError
            raise InputError(source, "number", digits, f"at most {MAX_DIGITS} digits")
        return int(digits)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                raise InputError(source, key, "given twice", "each key once")
            seen[key] = value
        return seen

    try:
        return json.loads(text, parse_constant=constant, parse_float=decimal, parse_int=integer,
                          object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InputError(source, f"line {error.lineno} column {error.colno}", error.msg, "valid JSON") from error
    except RecursionError as error:
        raise InputError(source, "nesting", "too deep", "a few levels") from error


def read_record(path: Path, schema: str, adapter: TypeAdapter[Record]) -> Record:
    """Read one record of `schema` from `path`. Raises InputError naming file, field and value."""
    return parse_record(read_text(path), str(path), schema, adapter)


def parse_record(text: str, source: str, schema: str, adapter: TypeAdapter[Record]) -> Record:
    """As `read_record`, from text; `source` names its origin in errors."""
    data = parse_json(text, source)
    if not isinstance(data, dict):
        raise InputError(source, "document", type(data).__name__, "a JSON object")
    found = data.pop("schema", None)
    if found != schema:
        raise InputError(source, "schema", found, f'"{schema}"')
    try:
        return adapter.validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise as_input_error(error, source) from error
    except RecursionError as error:  # json.dumps gives up a little earlier than json.loads
        raise InputError(source, "nesting", "too deep", "a few levels") from error


def as_input_error(error: ValidationError, source: str) -> InputError:
    """The first problem of a pydantic error as our one-line error; says how many others there are."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    others = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        inner = cause.field if field == "document" else f"{field}.{cause.field}"
        return InputError(source, inner, cause.value, cause.expected + others)
    return InputError(source, field, first.get("input"), first["msg"].lower() + others)


def write_record(path: Path, schema: str, record: Record, adapter: TypeAdapter[Record], *,
                 keep_none: bool = False) -> None:
    """Write `record` as versioned JSON, atomically.

    Fields that are None are left out, which keeps workloads of many requests short, unless `keep_none`: for records
    with fields that must be given although they may be None, or with None among a mapping's values.
    """
    body = adapter.dump_python(record, mode="json", exclude_none=not keep_none)
    lines = (f" {json.dumps(key)}: {_layout(value)}" for key, value in {"schema": schema, **body}.items())
    write_atomic(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _layout(value: Any) -> str:
    """A table one row per line, a mapping one field per line, anything else on one line."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(_compact(row) for row in value) + "\n ]"
    if isinstance(value, dict) and len(value) > 3:
        return "{\n  " + ",\n  ".join(f"{json.dumps(key)}: {_compact(row)}" for key, row in value.items()) + "\n }"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
