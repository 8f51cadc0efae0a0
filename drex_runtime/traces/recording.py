"""Reads the engine's own recordings (format: `drex_runtime.traces.recorded`)."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from drex_runtime.errors import InputError, one_line
from drex_runtime.records.ticks import MAX_TIME, TICKS_PER_SECOND, Tick
from drex_runtime.traces.exact import whole_number
from drex_runtime.traces.record import Trace
from drex_runtime.traces.recorded import SCHEMA, UNKNOWN, UNKNOWN_TEXT, Confidences, RecordedRequest
from drex_runtime.traces.rows import NumberText, json_rows

_HEADER = ("schema", "num_segments", "tick", "model")
_FIELDS = ("id", "arrival", "prompt_tokens", "depths", "confidences", "due", "ttft", "tpot")


def read_recording(path: Path) -> Trace:
    """A recording as a trace with depths. InputError naming line and field; arrivals keep the recording's clock."""
    cut: list[int] = []
    rows = json_rows(path, cut)
    first = next(rows, None)
    if first is None:
        raise InputError(str(path), "file", "nothing", f"a header with schema {SCHEMA}")
    reader = _Reader(path, *first)
    requests = [reader.request(line, row) for line, row in rows]
    if not requests:
        raise InputError(str(path), "rows", "none", "at least one request")
    keys = [(request.arrival, request.id) for request in requests]
    ordered = tuple(sorted(requests, key=lambda request: (request.arrival, request.id)))
    late = sum(one > other for one, other in pairwise(keys))
    unknown = sum(request.depths.count(UNKNOWN) for request in ordered)
    notes = [f"sorted by arrival ({late} rows came before their predecessor)"] if late else []
    notes += [f"line {line} was cut off and left out" for line in cut]
    if unknown:
        notes.append(f"{unknown} of {sum(len(request.depths) for request in ordered)} depths unknown")
    return Trace(one_line(path.name), "recording", np.array([request.arrival for request in ordered], np.int64),
                 np.array([request.prompt_tokens for request in ordered], np.int64),
                 np.array([len(request.depths) for request in ordered], np.int64), len(ordered) + len(cut), {},
                 tuple(notes), str(ordered[0].arrival), reader.num_segments, ordered)


class _Reader:
    """Checks one file's rows; times are turned into ns."""

    def __init__(self, path: Path, line: int, header: dict[str, Any]) -> None:
        self.path = path
        self.seen: set[int] = set()
        self.only(line, header, _HEADER)
        if header.get("schema") != SCHEMA:
            raise self.fail(line, "schema", header.get("schema"), SCHEMA)
        self.num_segments = self.number(line, header, "num_segments", 1, 64)
        ticks: dict[object, Tick] = {"us": "us", "ns": "ns"}
        tick = ticks.get(header.get("tick", "us"))
        if tick is None:
            raise self.fail(line, "tick", header.get("tick"), "us or ns")
        self.ns_per_tick = TICKS_PER_SECOND["ns"] // TICKS_PER_SECOND[tick]

    def fail(self, line: int, field: str, value: object, expected: str) -> InputError:
        return InputError(str(self.path), f"line {line}, {field}", "nothing" if value is None else value, expected)

    def only(self, line: int, row: dict[str, Any], accepted: tuple[str, ...]) -> None:
        for key in row:
            if key not in accepted:
                raise self.fail(line, key[:80], "an unknown field", f"one of {', '.join(accepted)}")

    def number(self, line: int, row: dict[str, Any], key: str, low: int, high: int) -> int:
        value = row.get(key)
        digits = isinstance(value, NumberText) and value.isascii() and value.isdigit() and len(value) < 20
        if not digits or not low <= int(str(value)) <= high:
            raise self.fail(line, key, value, f"an integer from {low} to {high}")
        return int(str(value))

    def time(self, line: int, row: dict[str, Any], key: str) -> int | None:
        """A time or duration in ns; None if absent."""
        most = MAX_TIME // self.ns_per_tick
        return None if row.get(key) is None else self.number(line, row, key, 0, most) * self.ns_per_tick

    def request(self, line: int, row: dict[str, Any]) -> RecordedRequest:
        self.only(line, row, _FIELDS)
        identity = self.number(line, row, "id", 0, 2**62 - 1)
        if identity in self.seen:
            raise self.fail(line, "id", identity, "each id once")
        self.seen.add(identity)
        arrival = self.time(line, row, "arrival")
        if arrival is None:
            raise self.fail(line, "arrival", None, "a time in ticks")
        prompt = self.number(line, row, "prompt_tokens", 0, 2**31 - 1)
        depths = self.depths(line, row.get("depths"), bool(prompt))
        confidences = self.confidences(line, row.get("confidences"), len(depths))
        return RecordedRequest(identity, arrival, prompt, depths, confidences, self.time(line, row, "due"),
                               self.time(line, row, "ttft"), self.time(line, row, "tpot"))

    def depths(self, line: int, given: object, prompted: bool) -> tuple[int, ...]:
        if not isinstance(given, list) or not given:
            raise self.fail(line, "depths", given, "a list with one depth per output token")
        found = []
        for index, item in enumerate(given):
            known = whole_number(item) if isinstance(item, NumberText) else None
            if item != UNKNOWN_TEXT and (known is None or not 1 <= known <= self.num_segments):
                raise self.fail(line, f"depths.{index}", item, f'1 to {self.num_segments} or "{UNKNOWN_TEXT}"')
            found.append(known or UNKNOWN)
        if prompted and found[0] not in (UNKNOWN, self.num_segments):
            raise self.fail(line, "depths.0", found[0], f"{self.num_segments}: token 1 comes from the prefill")
        return tuple(found)

    def confidences(self, line: int, given: object, tokens: int) -> Confidences | None:
        if given is None:
            return None
        if not isinstance(given, list) or len(given) != tokens:
            raise self.fail(line, "confidences", given, f"a list with one entry per output token: {tokens}")
        return tuple(self.confidence(line, f"confidences.{index}", item) for index, item in enumerate(given))

    def confidence(self, line: int, field: str, given: object) -> tuple[float | None, ...] | None:
        if given is None:
            return None
        if not isinstance(given, list) or len(given) != self.num_segments - 1:
            raise self.fail(line, field, given, f"null or one number per ramp: {self.num_segments - 1}")
        found = []
        for item in given:
            value = float(item) if isinstance(item, NumberText) else None
            if item is not None and (value is None or not isfinite(value) or not 0 <= value <= 1):
                raise self.fail(line, field, item, "null or a number from 0 to 1")
            found.append(value)
        return tuple(found)
