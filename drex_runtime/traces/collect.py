"""Collects the rows of a trace while it is read, and makes the immutable record."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path

import numpy as np

from drex_runtime.errors import InputError, one_line
from drex_runtime.traces.exact import MAX_NS, whole_number
from drex_runtime.traces.record import Column, Trace


class Collector:
    """Append rows in file order; `trace()` sorts them by arrival and says so."""

    def __init__(self, path: Path, format_name: str) -> None:
        self.path, self.format = path, format_name
        self.times, self.prompts, self.outputs = array("q"), array("q"), array("q")
        self.base: int | None = None
        self.first_text = ""
        self.earliest = 0
        self.rows_read = 0
        self.dropped: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()

    def fail(self, line: int, column: str, value: object, expected: str) -> InputError:
        """The error of one field."""
        return InputError(str(self.path), f"line {line}, {column}", value, expected)

    def count(self, line: int, column: str, text: str) -> int:
        """A number of tokens."""
        value = whole_number(text)
        if value is None:
            raise self.fail(line, column, text, "a number of tokens, 0 or more")
        return value

    def drop(self, reason: str) -> None:
        """Leave a row out."""
        self.rows_read += 1
        self.dropped[reason] += 1

    def note(self, what: str) -> None:
        """Count something that was done to a row; `what` continues "N timestamps ..."."""
        self.counted[what] += 1

    def add(self, line: int, time: int, text: str, prompt: int, output: int) -> None:
        """A row at `time` ns on any clock (`text` in the file); without output tokens it is dropped."""
        if output == 0:
            self.drop("no output tokens")
            return
        if self.base is None:
            self.base, self.earliest, self.first_text = time, time, text
        if time < self.earliest:
            self.earliest, self.first_text = time, text
        if abs(time - self.base) >= MAX_NS:
            raise self.fail(line, "time", text, "times within 146 years of each other")
        self.rows_read += 1
        self.times.append(time - self.base)
        self.prompts.append(prompt)
        self.outputs.append(output)

    def trace(self) -> Trace:
        """The trace; InputError if no row is left."""
        if self.base is None:
            raise InputError(str(self.path), "rows", self._dropped_text() or "none", "at least one usable row")
        times: Column = np.array(self.times, np.int64)
        order = np.argsort(times, kind="stable")
        notes = [f"{count} timestamps {what}" for what, count in self.counted.items()]
        late = int(np.count_nonzero(np.diff(times) < 0))
        if late:
            notes.append(f"sorted by arrival ({late} rows came before their predecessor)")
        return Trace(one_line(self.path.name), self.format, times[order] - times[order[0]],
                     np.array(self.prompts, np.int64)[order], np.array(self.outputs, np.int64)[order],
                     self.rows_read, dict(self.dropped), tuple(notes), self.first_text)

    def _dropped_text(self) -> str:
        return ", ".join(f"{count} dropped: {reason}" for reason, count in self.dropped.items())
