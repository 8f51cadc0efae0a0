"""Typed reading of one JSON object; every error names file, field, value and what would be right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from drex_runtime.errors import shown
from drex_runtime.model.errors import ModelError

Item = TypeVar("Item", int, str)
_ABSENT: Any = object()


class FieldReader:
    """Reads fields of `raw`, which stands at `prefix` inside the file `source`.

    A field that is absent or null takes the default; without a default it is an error.
    """

    def __init__(self, raw: Mapping[str, Any], source: str, prefix: str = "") -> None:
        self.raw = raw
        self.source = source
        self.prefix = prefix

    def wrong(self, name: str, value: object, right: str) -> ModelError:
        """The error for a field whose value is not usable."""
        return ModelError(f"{self.source}: {self.prefix}{name} = {shown(value)}: must be {right}")

    def _value(self, name: str, default: Any) -> Any:
        value = self.raw.get(name)
        if value is not None:
            return value
        if default is _ABSENT:
            raise ModelError(f"{self.source}: {self.prefix}{name} is missing")
        return default

    def count(self, name: str, default: Any = _ABSENT, least: int = 1) -> int:
        """An integer >= `least`."""
        value = self._value(name, default)
        if type(value) is not int or value < least:
            raise self.wrong(name, value, f"an integer >= {least}")
        return value

    def positive(self, name: str, default: Any = _ABSENT) -> float:
        """A finite number > 0."""
        value = self._value(name, default)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            raise self.wrong(name, value, "a finite number > 0")
        return float(value)

    def flag(self, name: str, default: Any = _ABSENT) -> bool:
        """true or false."""
        value = self._value(name, default)
        if type(value) is not bool:
            raise self.wrong(name, value, "true or false")
        return value

    def choice(self, name: str, accepted: tuple[str, ...], default: Any = _ABSENT) -> str:
        """One of a few names."""
        value = self._value(name, default)
        if value not in accepted:
            raise self.wrong(name, value, " or ".join(map(repr, accepted)))
        return str(value)

    def only(self, name: str, accepted: tuple[Any, ...], default: Any) -> None:
        """A feature of which this engine computes some values only: refuse the others by name."""
        value = self._value(name, default)
        if value not in accepted:
            raise self.wrong(name, value, f"{' or '.join(map(repr, accepted))} (nothing else is supported)")

    def listed(self, name: str, kind: type[Item]) -> tuple[Item, ...]:
        """A list whose items are all of one plain type."""
        value = self._value(name, _ABSENT)
        if not isinstance(value, list) or any(type(item) is not kind for item in value):
            raise self.wrong(name, value, f"a list of {'integers' if kind is int else 'strings'}")
        return tuple(value)

    def token_ids(self, name: str, vocab_size: int) -> tuple[int, ...]:
        """No, one or several ids of the vocabulary."""
        value = self._value(name, [])
        ids = value if isinstance(value, list) else [value]
        if any(type(i) is not int or not 0 <= i < vocab_size for i in ids):
            raise self.wrong(name, value, f"ids between 0 and vocab_size - 1 = {vocab_size - 1}")
        return tuple(ids)

    def section(self, name: str) -> FieldReader | None:
        """A nested object, or None where it is absent."""
        value = self._value(name, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, value, "an object")
        return FieldReader(value, self.source, f"{self.prefix}{name}.")

    def known(self, names: tuple[str, ...]) -> None:
        """Refuse fields that nobody reads: a misspelt one would be ignored in silence."""
        for name in self.raw:
            if name not in names:
                raise ModelError(f"{self.source}: {self.prefix}{name} is not known; the fields are {', '.join(names)}")
