"""Recorder: writes every finished request of an engine to a recording (format: `drex_runtime.traces.recorded`).

The depth of a token is the first ramp that was ready, provided that every ramp before it was evaluated; K + 1 only
if all K were evaluated and none was ready; else it is unknown. With `shadow`, ramps that the policy passes by are
evaluated for the recording alone (one head per pass and ramp: recording costs time, texts do not change).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Sequence as Items
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.engine import Engine
from drex_runtime.errors import InputError
from drex_runtime.execution.observer import Observer
from drex_runtime.execution.requests import Sequence
from drex_runtime.model import confidence
from drex_runtime.records.ticks import TICKS_PER_SECOND
from drex_runtime.traces.recorded import UNKNOWN, RecordedRequest, header_line, request_line

DIGITS = 6  # of a confidence in the file


class Recorder(Observer):
    """Use: `with Recorder(path, engine): ...` around the engine's run, or `close()` when it is over.

    A line is written and flushed when its request ends, so that a killed process loses the requests in flight and at
    most the line being written. Raises InputError if `path` cannot be created or exists; if writing fails later, says
    so once on stderr, stops recording and leaves the engine alone (`failed` holds the reason).
    """

    def __init__(self, path: Path, engine: Engine, *, model: str = "", shadow: bool = True) -> None:
        self.path, self.shadow, self.written, self.failed = path, shadow, 0, ""
        self._exits, self._num_segments = engine.exits, engine.runner.num_segments
        self._ticks_per_us = TICKS_PER_SECOND[engine.profile.tick] // TICKS_PER_SECOND["us"]
        # Per running request: per token the confidences by ramp, and the first ready ramp that was seen (0: none).
        self._seen: dict[Sequence, dict[int, tuple[list[float | None], int]]] = {}
        self._observers = engine.observers
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: TextIO = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise InputError(str(path), "recording", "exists", "a file that does not exist yet") from error
        except OSError as error:
            raise InputError(str(path), "recording", error.strerror, "a file that can be created") from error
        self._write(header_line(self._num_segments, model=model))
        self._observers.append(self)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop looking on; the file is complete. Requests still in flight are not in it."""
        if self in self._observers:
            self._observers.remove(self)
        self._seen.clear()
        try:
            self._stream.close()
        except OSError as error:
            self._give_up(error)

    # ---- hooks --------------------------------------------------------------------------------------------
    def consulted(self, ramp: int, batch: Items[Sequence], logits: Tensor, ready: NDArray[np.bool_]) -> None:
        """Note confidences and readiness of the batch at this ramp."""
        values = confidence(logits, self._exits.kind).clamp(0, 1).tolist()
        for sequence, value, is_ready in zip(batch, values, ready.tolist(), strict=True):
            tokens = self._seen.setdefault(sequence, {})
            ramps, first = tokens.get(sequence.emitted) or ([None] * (self._num_segments - 1), 0)
            if first and first < ramp:
                continue  # it was ready before: what deeper ramps say of a state that had left is no confidence
            ramps[ramp - 1] = round(value, DIGITS)
            tokens[sequence.emitted] = ramps, ramp if is_ready else 0

    def skipped(self, ramp: int, batch: Items[Sequence], logits: Callable[[], Tensor]) -> None:
        """Evaluate the ramp for the recording."""
        if self.shadow and not self.failed:
            values = logits()
            self.consulted(ramp, batch, values, self._exits.ready(ramp, values, batch))

    def finished(self, sequence: Sequence) -> None:
        """Write the request (one without any output leaves no line)."""
        tokens = self._seen.pop(sequence, {})
        if not sequence.emitted or self.failed:
            return
        spec = sequence.spec
        depths = [self._depth(tokens.get(t)) for t in range(sequence.emitted)]
        if spec.prompt_tokens:
            depths[0] = self._num_segments  # from the prefill, which never exits
        known = [tuple(tokens[t][0]) if t in tokens else None for t in range(sequence.emitted)]
        self._write(request_line(RecordedRequest(
            sequence.index, self._us(spec.arrival), spec.prompt_tokens, tuple(depths),
            tuple(known) if any(known) else None, None if spec.due is None else self._us(spec.due),
            None if spec.ttft is None else self._us(spec.ttft), None if spec.tpot is None else self._us(spec.tpot)),
            self._num_segments))
        self.written += not self.failed

    # ---- inside -------------------------------------------------------------------------------------------
    def _depth(self, seen: tuple[list[float | None], int] | None) -> int:
        if seen is None:
            return UNKNOWN if self._num_segments > 1 else 1
        ramps, first = seen
        evaluated = ramps[:first] if first else ramps
        return UNKNOWN if None in evaluated else first or self._num_segments

    def _us(self, ticks: int) -> int:
        return ticks // self._ticks_per_us

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self.failed:
            self.failed = error.strerror or str(error)
            print(f"recording {self.path} stopped: {self.failed}", file=sys.stderr)
