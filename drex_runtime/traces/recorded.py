"""The engine's own recording: JSONL with the depth, and if known the confidences, of every token.

    {"schema": "drex-recording/1", "num_segments": 2, "tick": "us", "model": "..."}
    {"id": 0, "arrival": 0, "prompt_tokens": 12, "depths": [2, 1, "unknown"], "confidences": [null, [0.93], null]}

A depth is a segment number from 1 to num_segments, or "unknown" where a ramp was not evaluated: that is not
the same as num_segments, which says that every ramp was evaluated and none was confident. `confidences[t]` has one
value per ramp (null: not evaluated). A last line without its line end that is no JSON was cut off when the recording
process was killed: it is left out, and the trace says so. Optional per request: `due` (a time), `ttft`, `tpot`
(durations), in ticks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from drex_runtime.errors import RecordError
from drex_runtime.records.files import write_atomic
from drex_runtime.records.ticks import Tick

SCHEMA = "drex-recording/1"
UNKNOWN = 0  # in RecordedRequest.depths; "unknown" in the file
UNKNOWN_TEXT = "unknown"

Confidences = tuple[tuple[float | None, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it ran; depths are segment numbers or UNKNOWN."""

    id: int
    arrival: int
    prompt_tokens: int
    depths: tuple[int, ...]
    confidences: Confidences | None = None
    due: int | None = None
    ttft: int | None = None
    tpot: int | None = None

    def later_by(self, ticks: int) -> RecordedRequest:
        """The same request, moved in time."""
        return replace(self, arrival=self.arrival + ticks, due=None if self.due is None else self.due + ticks)


def write_recording(path: Path, num_segments: int, requests: Iterable[RecordedRequest], *, tick: Tick = "us",
                    model: str = "") -> None:
    """Write a recording atomically, in the order given. RecordError for a depth outside 0..num_segments."""
    lines = [header_line(num_segments, tick=tick, model=model)]
    lines += [request_line(request, num_segments) for request in requests]
    write_atomic(path, "\n".join(lines) + "\n")


def header_line(num_segments: int, *, tick: Tick = "us", model: str = "") -> str:
    """The first line of a recording, without its line end."""
    return json.dumps({"schema": SCHEMA, "num_segments": num_segments, "tick": tick, "model": model})


def request_line(request: RecordedRequest, num_segments: int) -> str:
    """The line of one request, without its line end. RecordError for a depth outside 0..num_segments."""
    if not request.depths or not 0 <= min(request.depths) <= max(request.depths) <= num_segments:
        raise RecordError(f"request {request.id}", "depths", request.depths, f"UNKNOWN or 1 to {num_segments}")
    row = {"id": request.id, "arrival": request.arrival, "prompt_tokens": request.prompt_tokens,
           "depths": [depth or UNKNOWN_TEXT for depth in request.depths], "confidences": request.confidences,
           "due": request.due, "ttft": request.ttft, "tpot": request.tpot}
    return json.dumps({key: value for key, value in row.items() if value is not None}, allow_nan=False)
