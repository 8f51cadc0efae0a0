"""CostProfile: what every launch costs, in integer ticks, on one device with one model.

Source: scheduling model, section Objects. `b` rows, `context` = sum over rows of prompt tokens plus tokens
already emitted. Costs must not decrease with b.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.records.files import read_record, write_record
from drex_runtime.records.ticks import Tick

SCHEMA = "drex-profile/1"
MAX_COST = 2**40
MAX_CONTEXT = 2**31
STRICT = ConfigDict(extra="forbid", strict=True)
Origin = Literal["measured", "published", "estimate", "synthetic"]
KVFill = Literal["share", "propagate"]


def _check(record: str, **values: int) -> None:
    for name, value in values.items():
        if not 0 <= value <= MAX_COST:
            raise RecordError(record, name, value, f"ticks from 0 to {MAX_COST}")


@dataclass(frozen=True, slots=True)
class SegmentCost:
    """fixed[bucket index] + per_row * b + per_context * sum(ctx)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    fixed: tuple[int, ...]
    per_row: int = 0
    per_context: int = 0

    def __post_init__(self) -> None:
        for value in self.fixed:
            _check("segment", fixed=value)
        _check("segment", per_row=self.per_row, per_context=self.per_context)


@dataclass(frozen=True, slots=True)
class LinearCost:
    """fixed + per_row * b (a ramp; the KV fill of rows that leave early)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    fixed: int = 0
    per_row: int = 0

    def __post_init__(self) -> None:
        _check("cost", fixed=self.fixed, per_row=self.per_row)


@dataclass(frozen=True, slots=True)
class PrefillCost:
    """fixed + per_token * tokens + per_pair * sum(chunk * ctx before the chunk)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    fixed: int = 0
    per_token: int = 0
    per_pair: int = 0

    def __post_init__(self) -> None:
        _check("prefill", fixed=self.fixed, per_token=self.per_token, per_pair=self.per_pair)


@dataclass(frozen=True, slots=True)
class ProfileMeta:
    """Where the numbers come from. `raw` holds the measured points (kind, b, ctx, ticks); `kv_fill` is that of the
    measured engine (None: not said), whose price is the profile's `kv_fill`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    origin: Origin = "synthetic"
    device: str = ""
    model: str = ""
    dtype: str = ""
    date: str = ""
    method: str = ""
    note: str = ""
    reference_context: int = 0
    max_context: int | None = None
    fit_error: float | None = None
    decision_ns: int | None = None
    raw: tuple[tuple[str, int, int, int], ...] = ()
    kv_fill: KVFill | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.reference_context < MAX_CONTEXT:
            raise RecordError("meta", "reference_context", self.reference_context, f"0 to {MAX_CONTEXT - 1}")
        if self.max_context is not None and not 0 < self.max_context < MAX_CONTEXT:
            raise RecordError("meta", "max_context", self.max_context, f"1 to {MAX_CONTEXT - 1}")
        if self.fit_error is not None and not (isfinite(self.fit_error) and self.fit_error >= 0):
            raise RecordError("meta", "fit_error", self.fit_error, "a finite number of 0 or more")
        if self.decision_ns is not None and self.decision_ns < 0:
            raise RecordError("meta", "decision_ns", self.decision_ns, "0 or more")


@dataclass(frozen=True, slots=True)
class CostProfile:
    """Costs of one device and model with K ramps: K + 1 segments, K ramps, K starts (of segments 2..K+1)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    buckets: tuple[int, ...]
    segments: tuple[SegmentCost, ...]
    ramps: tuple[LinearCost, ...] = ()
    starts: tuple[int, ...] = ()
    rebatch: int = 0
    kv_fill: LinearCost = LinearCost()
    prefill: PrefillCost = PrefillCost()
    tick: Tick = "ns"
    meta: ProfileMeta = field(default_factory=ProfileMeta)

    def __post_init__(self) -> None:
        name = f"profile {self.name or '(unnamed)'}"
        if not self.buckets or list(self.buckets) != sorted(set(self.buckets)) or self.buckets[0] < 1:
            raise RecordError(name, "buckets", self.buckets, "increasing batch sizes of 1 or more")
        if not 1 <= len(self.segments) <= 64:
            raise RecordError(name, "segments", len(self.segments), "1 to 64 segments")
        num_ramps = len(self.segments) - 1
        if len(self.ramps) != num_ramps:
            raise RecordError(name, "ramps", len(self.ramps), f"one per segment but the last: {num_ramps}")
        if len(self.starts) != num_ramps:
            raise RecordError(name, "starts", len(self.starts), f"one per segment from 2 on: {num_ramps}")
        _check(name, rebatch=self.rebatch)
        for index, start in enumerate(self.starts):
            _check(name, **{f"starts.{index}": start})
        for index, segment in enumerate(self.segments):
            self._check_segment(name, f"segments.{index}.fixed", segment)

    def _check_segment(self, name: str, where: str, segment: SegmentCost) -> None:
        if len(segment.fixed) != len(self.buckets):
            raise RecordError(name, where, len(segment.fixed), f"one value per bucket: {len(self.buckets)}")
        if segment.fixed[0] + segment.per_row <= 0:
            raise RecordError(name, where, segment.fixed[0], "a segment that costs more than nothing")
        for left, right, bucket in zip(segment.fixed, segment.fixed[1:], self.buckets, strict=False):
            # The cost jumps between b = bucket and b = bucket + 1; elsewhere it rises by per_row >= 0.
            if right + segment.per_row < left:
                raise RecordError(name, where, right, f"a cost at {bucket + 1} rows not below that at {bucket}")

    @property
    def num_segments(self) -> int:
        """K + 1."""
        return len(self.segments)

    @property
    def max_rows(self) -> int:
        """Largest batch the profile knows."""
        return self.buckets[-1]

    def bucket_index(self, rows: int) -> int:
        """Index of the smallest bucket >= rows; LimitError if there is none."""
        index = bisect_left(self.buckets, rows)
        if rows < 1 or index == len(self.buckets):
            raise LimitError(f"profile {self.name}: a launch of {rows} rows is outside its buckets, "
                             f"1 to {self.max_rows}")
        return index

    def segment_cost(self, segment: int, rows: int, context: int) -> int:
        """Ticks of segment s (1-based) for `rows` rows whose contexts sum to `context`."""
        cost = self.segments[segment - 1]
        return cost.fixed[self.bucket_index(rows)] + cost.per_row * rows + cost.per_context * context

    def ramp_cost(self, ramp: int, rows: int) -> int:
        """Ticks of consulting ramp r (1-based) with `rows` rows."""
        cost = self.ramps[ramp - 1]
        return cost.fixed + cost.per_row * rows

    def start_cost(self, segment: int) -> int:
        """Ticks of beginning a launch at segment s; 0 for s = 1."""
        return 0 if segment == 1 else self.starts[segment - 2]

    def fill_cost(self, rows: int) -> int:
        """Ticks of filling the KV of `rows` rows that leave early; 0 for none."""
        return self.kv_fill.fixed + self.kv_fill.per_row * rows if rows else 0

    def prefill_cost(self, tokens: int, pairs: int) -> int:
        """Ticks of a PREFILL of `tokens` prompt tokens with `pairs` = sum(chunk * ctx before it)."""
        return self.prefill.fixed + self.prefill.per_token * tokens + self.prefill.per_pair * pairs


_ADAPTER = TypeAdapter(CostProfile)


def load_profile(path: Path) -> CostProfile:
    """Read a profile file. Raises InputError naming file, field, value."""
    return read_record(path, SCHEMA, _ADAPTER)


def save_profile(path: Path, profile: CostProfile) -> None:
    """Write a profile file atomically."""
    write_record(path, SCHEMA, profile, _ADAPTER)
