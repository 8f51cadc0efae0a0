"""Trace: who arrived when, with how long a prompt and how long an answer; of a recording also how deep.

Columns are read-only int64 arrays, since published traces have millions of rows. Times are exact
nanoseconds from the text of the file, counted from the first arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import InputError
from drex_runtime.traces.recorded import RecordedRequest

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Rows in arrival order. `arrivals` in ns, the first is 0 (a recording keeps its own clock).

    `dropped`: rows left out, counted by reason. `notes`: everything else that was done to the rows.
    `recorded`: one entry per row with depths and targets, for a recording only; `num_segments` likewise.
    """

    name: str
    format: str
    arrivals: Column
    prompt_tokens: Column
    output_tokens: Column
    rows_read: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first_time: str = ""
    num_segments: int | None = None
    recorded: tuple[RecordedRequest, ...] | None = None

    def __post_init__(self) -> None:
        for column in (self.arrivals, self.prompt_tokens, self.output_tokens):
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def provenance(self) -> str:
        """One line: file, format, rows, what was dropped and changed."""
        parts = [f"{self.format} trace {self.name}: {len(self)} of {self.rows_read} rows"]
        parts += [f"dropped {count} ({reason})" for reason, count in self.dropped.items()]
        return "; ".join([*parts, *self.notes])

    def between(self, start: int, end: int) -> Trace:
        """The rows with start <= arrival < end (ns), clock 0 at `start`. InputError if there are none."""
        first, last = np.searchsorted(self.arrivals, (start, end))
        if first == last:
            raise InputError(self.name, "window", f"{start} to {end} ns", "a window with arrivals")
        return self._rows(int(first), int(last), start, f"arrivals from {start} to {end} ns")

    def first(self, count: int) -> Trace:
        """The first `count` rows (all, if there are fewer)."""
        return self if count >= len(self) else self._rows(0, max(1, count), 0, f"first {max(1, count)} rows")

    def faster(self, factor: Fraction) -> Trace:
        """The same rows at `factor` times the arrival rate; times are rounded down to ns."""
        if factor <= 0:
            raise InputError(self.name, "factor", factor, "a factor above 0")
        scaled = [arrival * factor.denominator // factor.numerator for arrival in self.arrivals.tolist()]
        recorded = self.recorded and tuple(request.later_by(arrival - request.arrival) for request, arrival
                                           in zip(self.recorded, scaled, strict=True))
        return replace(self, arrivals=np.array(scaled, np.int64), recorded=recorded,
                       notes=(*self.notes, f"arrival rate x {factor}"))

    def _rows(self, first: int, last: int, origin: int, note: str) -> Trace:
        span = slice(first, last)
        recorded = self.recorded and tuple(request.later_by(-origin) for request in self.recorded[span])
        return replace(self, arrivals=self.arrivals[span] - origin, prompt_tokens=self.prompt_tokens[span].copy(),
                       output_tokens=self.output_tokens[span].copy(), recorded=recorded, notes=(*self.notes, note))
