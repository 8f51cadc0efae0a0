"""YAML as plain data: mappings, lists and text, and nothing else.

Built from the parser's events, so no object is ever constructed from a tag, nesting is counted before it can
exhaust the stack, and aliases (which explode when expanded) are refused. Plain `true`, `false` and `null` get
their meaning; every other scalar stays text, so that `0.58` is exact and `on`, `010` or `1:30` are not reinterpreted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import yaml

from drex_runtime.errors import InputError
from drex_runtime.records.files import read_text

Data: TypeAlias = "str | bool | list[Data] | dict[str, Data] | None"
MAX_YAML_BYTES = 1 << 18
MAX_DEPTH = 16
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_yaml(path: Path) -> dict[str, Data]:
    """The mapping in the YAML file `path`. InputError names file, line and what is not accepted."""
    return parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))


def parse_yaml(text: str, source: str) -> dict[str, Data]:
    """As `read_yaml`, from text."""
    if len(text) > MAX_YAML_BYTES:
        raise InputError(source, "size", f"{len(text)} characters", f"at most {MAX_YAML_BYTES}")
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "document" if mark is None else f"line {mark.line + 1} column {mark.column + 1}"
        raise InputError(source, where, error.problem or "not YAML", "valid YAML") from error
    except yaml.reader.ReaderError as error:
        raise InputError(source, f"character {error.position}", error.reason, "valid YAML") from error
    if builder.documents != 1 or not isinstance(builder.root, dict):
        found = f"{builder.documents} documents" if builder.documents != 1 else type(builder.root).__name__
        raise InputError(source, "document", found, "one YAML mapping")
    return builder.root


class _Builder:
    """Turns events into data with an explicit stack."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.documents = 0
        self.root: Data = None
        self.stack: list[tuple[list[Data] | dict[str, Data], str | None]] = []

    def refuse(self, event: yaml.Event, found: str, expected: str) -> InputError:
        mark = event.start_mark
        return InputError(self.source, "document" if mark is None else f"line {mark.line + 1}", found, expected)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
        elif isinstance(event, yaml.AliasEvent):
            raise self.refuse(event, f"the alias {event.anchor!r}", "no anchors and aliases")
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.anchor:
            raise self.refuse(event, f"the anchor {event.anchor!r}", "no anchors and aliases")
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise self.refuse(event, f"the tag {event.tag!r}", "no tags")
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.value in _CONSTANTS
            self.place(event, _CONSTANTS[event.value] if plain else event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self.stack) >= MAX_DEPTH:
                raise self.refuse(event, "nesting too deep", f"at most {MAX_DEPTH} levels")
            self.stack.append(([] if isinstance(event, yaml.SequenceStartEvent) else {}, None))
        elif isinstance(event, yaml.CollectionEndEvent):
            self.place(event, self.stack.pop()[0])

    def place(self, event: yaml.Event, value: Data) -> None:
        if not self.stack:
            self.root = value
            return
        parent, key = self.stack[-1]
        if isinstance(parent, list):
            parent.append(value)
        elif key is not None:
            parent[key] = value
            self.stack[-1] = (parent, None)
        else:
            name = event.value if isinstance(event, yaml.ScalarEvent) else None
            if not name:
                raise self.refuse(event, "a key that is not text", "keys in text form")
            if name in parent:
                raise self.refuse(event, f"the key {name[:80]!r} again", "each key once")
            self.stack[-1] = (parent, name)
