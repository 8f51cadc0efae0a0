"""Workloads: requests with arrivals, prompts and the exit depth of every output token.

Source: scheduling model, section Objects. All times are integers in the workload's tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import RecordError
from drex_runtime.records.files import read_record, write_record
from drex_runtime.records.ticks import MAX_TIME, Tick, convert_ticks

SCHEMA = "drex-workload/1"
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `depths[t]` in 1..num_segments is the first segment after which token t may exit.

    With a prompt, token 1 comes from the prefill, which never exits early: `depths[0]` is num_segments.
    `due` is the deadline of the whole request, `ttft`/`tpot` are per-token targets (durations in ticks).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    id: int
    arrival: int
    prompt_tokens: int
    depths: tuple[int, ...]
    due: int | None = None
    ttft: int | None = None
    tpot: int | None = None

    def __post_init__(self) -> None:
        name = f"request {self.id}"
        if not 0 <= self.id < 2**62:
            raise RecordError(name, "id", self.id, "an integer from 0 to 2^62 - 1")
        if not 0 <= self.arrival <= MAX_TIME:
            raise RecordError(name, "arrival", self.arrival, f"ticks from 0 to {MAX_TIME}")
        if not 0 <= self.prompt_tokens < 2**31:
            raise RecordError(name, "prompt_tokens", self.prompt_tokens, "an integer from 0 to 2^31 - 1")
        if not self.depths:
            raise RecordError(name, "depths", self.depths, "at least one output token")
        if min(self.depths) < 1:
            raise RecordError(name, "depths", min(self.depths), "depths of 1 or more")
        for field, value in (("due", self.due), ("ttft", self.ttft), ("tpot", self.tpot)):
            if value is not None and not 0 <= value <= MAX_TIME:
                raise RecordError(name, field, value, f"ticks from 0 to {MAX_TIME}")
        last = self.arrival + (self.ttft or 0) + len(self.depths) * (self.tpot or 0)
        if last > MAX_TIME:
            raise RecordError(name, "tpot", self.tpot, f"targets whose last due date stays below {MAX_TIME} ticks")
        if self.due is not None and self.due < self.arrival:
            raise RecordError(name, "due", self.due, f"a time not before the arrival {self.arrival}")

    @property
    def output_tokens(self) -> int:
        """Number of output tokens."""
        return len(self.depths)


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in (arrival, id) order for a model of `num_segments` = K + 1 segments.

    `source` says where arrivals, lengths and depths come from (trace, recording, generator and seed).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    num_segments: int
    requests: tuple[Request, ...]
    tick: Tick = "ns"
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.num_segments <= 64:
            raise RecordError("workload", "num_segments", self.num_segments, "an integer from 1 to 64")
        if not self.requests:
            raise RecordError("workload", "requests", self.requests, "at least one request")
        previous = (-1, -1)
        seen: set[int] = set()
        for index, request in enumerate(self.requests):
            if request.id in seen:
                raise RecordError("workload", f"requests.{index}.id", request.id, "each id once")
            seen.add(request.id)
            key = (request.arrival, request.id)
            if key < previous:
                raise RecordError("workload", f"requests.{index}.arrival", request.arrival,
                                  "requests sorted by (arrival, id)")
            previous = key
            if max(request.depths) > self.num_segments:
                raise RecordError("workload", f"requests.{index}.depths", max(request.depths),
                                  f"depths up to num_segments = {self.num_segments}")
            if request.prompt_tokens and request.depths[0] != self.num_segments:
                raise RecordError("workload", f"requests.{index}.depths.0", request.depths[0],
                                  f"{self.num_segments}: token 1 of a prompted request comes from the prefill")

    @classmethod
    def of(cls, num_segments: int, requests: Iterable[Request], *, tick: Tick = "ns", name: str = "",
           source: str = "") -> Workload:
        """A workload from requests in any order."""
        ordered = tuple(sorted(requests, key=lambda request: (request.arrival, request.id)))
        return cls(num_segments, ordered, tick, name, source)

    @property
    def num_tokens(self) -> int:
        """Output tokens of all requests."""
        return sum(len(request.depths) for request in self.requests)

    @property
    def num_ramps(self) -> int:
        """K."""
        return self.num_segments - 1

    def in_tick(self, tick: Tick) -> Workload:
        """The same workload in another tick; refused if a time is not a whole number of new ticks."""
        if tick == self.tick:
            return self

        def moved(request: Request) -> Request:
            def time(field: str, value: int | None) -> int | None:
                return None if value is None else convert_ticks(value, self.tick, tick,
                                                                f"request {request.id}", field)
            arrival = convert_ticks(request.arrival, self.tick, tick, f"request {request.id}", "arrival")
            return replace(request, arrival=arrival, due=time("due", request.due),
                           ttft=time("ttft", request.ttft), tpot=time("tpot", request.tpot))

        return replace(self, tick=tick, requests=tuple(moved(request) for request in self.requests))


_ADAPTER = TypeAdapter(Workload)


def load_workload(path: Path) -> Workload:
    """Read a workload file. Raises InputError naming file, field, value."""
    return read_record(path, SCHEMA, _ADAPTER)


def save_workload(path: Path, workload: Workload) -> None:
    """Write a workload file atomically."""
    write_record(path, SCHEMA, workload, _ADAPTER)
