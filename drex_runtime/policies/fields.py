"""Typed access to the fields of a table read from a file; every error names file, field and value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from drex_runtime.errors import InputError
from drex_runtime.policies.safe_yaml import Data

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True)
class Fields:
    """A mapping at `path` (such as `launch.2`) of the file `source`."""

    source: str
    path: str
    data: Mapping[str, Data]

    def where(self, key: str) -> str:
        """The full name of a field."""
        return f"{self.path}.{key}" if self.path else key

    def fail(self, key: str, value: object, expected: str) -> InputError:
        """The error of one field."""
        return InputError(self.source, self.where(key), value, expected)

    def only(self, accepted: Collection[str]) -> None:
        """Refuse keys that are not `accepted`."""
        for key in self.data:
            if key not in accepted:
                raise self.fail(key, "an unknown field", f"one of {', '.join(accepted)}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text field; required if there is no default."""
        value = self.data.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, "nothing" if value is None else value, "a text")
        return value

    def choice(self, key: str, accepted: Collection[Choice], default: Choice | None = None) -> Choice:
        """A text field with a fixed set of values."""
        value = self.text(key, default)
        for item in accepted:
            if item == value:
                return item
        raise self.fail(key, value, f"one of {', '.join(accepted)}")

    def flag(self, key: str) -> bool:
        """A true/false field, false if absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, value, "true or false")
        return value

    def table(self, key: str) -> Fields:
        """A mapping field, empty if absent."""
        value = self.data.get(key)
        if not isinstance(value, dict | None):
            raise self.fail(key, value, "a mapping")
        return Fields(self.source, self.where(key), value or {})

    def rows(self, key: str, most: int) -> list[Fields]:
        """A field that is a list of at least one mapping."""
        value = self.data.get(key)
        if not isinstance(value, list) or not value:
            raise self.fail(key, "nothing" if value is None else value, "a list of mappings")
        if len(value) > most:
            raise self.fail(key, f"{len(value)} entries", f"at most {most}")
        found = []
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.fail(f"{key}.{index}", item, "a mapping")
            found.append(Fields(self.source, self.where(f"{key}.{index}"), item))
        return found
