"""TimelineObserver: a run as a Chrome trace (chrome://tracing, ui.perfetto.dev).

One track of launches, each with its segments, ramps and other parts inside; a counter per pool; every request as
an asynchronous slice from arrival to last token, with the wait for its first token inside. Times in us.
Source: the trace event format of Chrome (X, C, b, n, e and M events).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drex_runtime.engine import Engine
from drex_runtime.execution.observer import Observer
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scheduler import Launch
from drex_runtime.records.files import write_atomic
from drex_runtime.records.ticks import TICKS_PER_SECOND

ENGINE, REQUESTS, LAUNCHES = 1, 2, 1  # process and thread numbers of the trace
MAX_LAUNCHES = 1_000_000
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Begun:
    number: int
    at: int  # perf_counter_ns
    kind: str
    pool: int
    rows: int
    rule: str
    pools: tuple[int, ...]
    waiting: int


class TimelineObserver(Observer):
    """Attach before a run on the real clock, `save` after it. It switches the engine's stopwatch on.

    Everything is kept in memory until then; after MAX_LAUNCHES launches nothing more is noted, and the file says so.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ns_per_tick = 10**9 / TICKS_PER_SECOND[engine.profile.tick]
        self._zero = time.perf_counter_ns() - round(engine.clock.now() * self._ns_per_tick)
        self._launches: list[_Begun] = []
        self._done: list[Sequence] = []
        self.left_out = 0
        engine.stopwatch.enabled = True
        engine.observers.append(self)

    def launched(self, launch: Launch, now: int) -> None:
        """Note the launch and how full the pools are."""
        if len(self._launches) >= MAX_LAUNCHES:
            self.left_out += 1
            self._engine.stopwatch.enabled = False
            return
        pools, scheduler = self._engine.scheduler.pools, self._engine.scheduler
        rows = len(launch.batch) or sum(count for _, count in launch.chunks)
        self._launches.append(_Begun(self._engine.statistics.launches, time.perf_counter_ns(), launch.kind, launch.pool,
                                     rows, launch.rule, tuple(pools.size(s + 1) for s in range(len(pools.ages))),
                                     len(scheduler.waiting)))

    def finished(self, sequence: Sequence) -> None:
        """Keep the request for its slice."""
        if not self.left_out:
            self._done.append(sequence)

    def events(self) -> list[Event]:
        """All trace events, by time within each track."""
        found: list[Event] = [
            {"ph": "M", "name": "process_name", "pid": ENGINE, "args": {"name": "engine"}},
            {"ph": "M", "name": "thread_name", "pid": ENGINE, "tid": LAUNCHES, "args": {"name": "launches"}},
            {"ph": "M", "name": "process_name", "pid": REQUESTS, "args": {"name": "requests"}}]
        return [*found, *self._launch_events(), *(event for item in self._done for event in self._request(item))]

    def save(self, path: Path) -> None:
        """Write the trace. InputError if that fails."""
        other = {"profile": self._engine.profile.name, "policy": self._engine.scheduler.policy.policy.name,
                 "launches left out": self.left_out}
        write_atomic(path, json.dumps({"displayTimeUnit": "ms", "otherData": other, "traceEvents": self.events()},
                                      separators=(",", ":")) + "\n")

    # ---- inside -------------------------------------------------------------------------------------------
    def _us(self, perf_ns: int) -> float:
        return (perf_ns - self._zero) / 1000

    def _clock_us(self, ticks: int) -> float:
        return ticks * self._ns_per_tick / 1000

    def _launch_events(self) -> list[Event]:
        parts: list[Event] = []
        ends: dict[int, int] = {}
        for part in self._engine.stopwatch.parts:
            name = f"{part.part} {part.segment}" if part.segment else part.part
            parts.append({"ph": "X", "name": name, "cat": "part", "pid": ENGINE, "tid": LAUNCHES,
                          "ts": self._us(part.begun), "dur": part.ns / 1000,
                          "args": {"rows": part.rows, "context": part.context}})
            ends[part.launch] = max(ends.get(part.launch, 0), part.begun + part.ns)
        found: list[Event] = []
        for item in self._launches:
            end = max(ends.get(item.number, item.at), item.at)
            name = item.kind if item.kind == "PREFILL" else f"RUN({item.pool})"
            found.append({"ph": "X", "name": name, "cat": "launch", "pid": ENGINE, "tid": LAUNCHES,
                          "ts": self._us(item.at), "dur": (end - item.at) / 1000,
                          "args": {"rule": item.rule, "rows": item.rows, "launch": item.number}})
            sizes = {"waiting": item.waiting} | {f"pool {s} ({'buffered' if s > 1 else 'ready'})": size
                                                 for s, size in enumerate(item.pools, start=1)}
            found += [{"ph": "C", "name": name, "pid": ENGINE, "ts": self._us(item.at), "args": {"requests": size}}
                      for name, size in sizes.items()]
        return sorted([*found, *parts], key=lambda event: (event["ts"], -event.get("dur", 0)))

    def _request(self, sequence: Sequence) -> list[Event]:
        if not sequence.times:
            return []
        begun, first, last = (self._clock_us(at) for at in (sequence.spec.arrival, sequence.times[0],
                                                            sequence.times[-1]))
        base = {"cat": "request", "id": sequence.index, "pid": REQUESTS, "tid": 0}
        about = {"prompt_tokens": sequence.spec.prompt_tokens, "output_tokens": sequence.emitted,
                 "finished": sequence.finished}
        name = f"request {sequence.spec.id}"
        tokens = [{"ph": "n", "name": name, **base, "ts": self._clock_us(at), "args": {"token": t, "depth": depth}}
                  for t, (at, depth) in enumerate(zip(sequence.times, sequence.depths, strict=True))]
        return [{"ph": "b", "name": name, **base, "ts": begun, "args": about},
                {"ph": "b", "name": "to first token", **base, "ts": begun},
                {"ph": "e", "name": "to first token", **base, "ts": first}, *tokens,
                {"ph": "e", "name": name, **base, "ts": last}]
