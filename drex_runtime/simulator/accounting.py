"""Where the place-time went: N places x the run's duration, partitioned to the tick.

Every place is, at every tick, in exactly one category (the device does one thing at a time):

- compute    its row is in the pass, in a segment s <= depth of its token
- stay       its row is in the pass, in a segment s > depth, after a ramp showed it could leave (latched)
- unseen     its row is in the pass, in a segment s > depth, but no ramp that would have let it leave was consulted
- ramp       its row is in the pass while a ramp is consulted
- overhead   its row is in the pass while a launch starts at s >= 2, or is parked while `rebatch` is paid
- fill       its row is in the pass while the KV of rows that leave is filled
- prefill    its request is in the running PREFILL
- idle       it is held while the device idles by choice (IDLE)
- buffered   it is held by a row in a pool s >= 2 while the device works for others
- waiting    it is held by a row in pool 1, or by a half prefilled request, while the device works for others
- empty      no request holds it

The duration runs from the start of the run to its last clock reading, which is the makespan except under RELEASE
(rows released at a ramp complete earlier than their pass ends, and hold their places to its end).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from drex_runtime.errors import LimitError
from drex_runtime.records.config import ServerConfig
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Phase, Place, State
from drex_runtime.simulator.events import EventKind, Log

COMPUTE, STAY, UNSEEN, RAMP, OVERHEAD, FILL, PREFILL, IDLE, BUFFERED, WAITING, EMPTY = range(11)
NUM_CATEGORIES = 11


@dataclass(frozen=True, slots=True)
class PlaceTime:
    """Place-ticks by category, in the order of the module's list."""

    compute: int = 0
    stay: int = 0
    unseen: int = 0
    ramp: int = 0
    overhead: int = 0
    fill: int = 0
    prefill: int = 0
    idle: int = 0
    buffered: int = 0
    waiting: int = 0
    empty: int = 0

    @property
    def total(self) -> int:
        """All place-ticks: N x duration."""
        return sum(astuple(self))

    def shares(self) -> dict[str, float]:
        """Share of each category, for display."""
        total = self.total or 1
        return {field.name: getattr(self, field.name) / total for field in fields(self)}

    @classmethod
    def of(cls, spent: Sequence[int], places: int, duration: int) -> PlaceTime:
        """From the kernel's array. LimitError if its int64 sums could have overflowed."""
        if places * duration >= 2**63:
            raise LimitError(f"place-time of {places} places over {duration} ticks passes 64 bits; use a coarser tick")
        return cls(*(int(value) for value in spent))


@dataclass
class _Places:
    """Who is where, as the event log tells it. `seen`: a ramp showed that the running token may leave."""

    workload: Workload
    where: list[int]
    emitted: list[int]
    seen: list[bool]

    @classmethod
    def at(cls, workload: Workload, start: State | None) -> _Places:
        n = len(workload.requests)
        if start is None:
            return cls(workload, [int(Place.WAITING)] * n, [0] * n, [False] * n)
        found = cls(workload, list(start.place), list(start.emitted), [latch > 0 for latch in start.latched])
        if start.phase == Phase.RAMP:  # the ramp's event lies before the start
            found.after(EventKind.RAMP, tuple(found.rows_in(Place.RUNNING)), start.segment)
        return found

    def rows_in(self, place: Place) -> list[int]:
        return [row for row, where in enumerate(self.where) if where == place]

    def depth(self, row: int) -> int:
        return self.workload.requests[row].depths[self.emitted[row]]

    def role(self, row: int, kind: EventKind, segment: int, concerned: frozenset[int]) -> int:
        """Category of the place that `row` holds while an event of `kind` lasts."""
        if kind == EventKind.IDLE:
            return IDLE
        if kind == EventKind.PREFILL and row in concerned:
            return PREFILL
        if kind == EventKind.REBATCH and row in concerned:
            return OVERHEAD
        if self.where[row] == Place.RUNNING:
            if kind == EventKind.SEGMENT:
                ready = self.depth(row) < segment
                return (STAY if self.seen[row] else UNSEEN) if ready or self.seen[row] else COMPUTE
            return {EventKind.START: OVERHEAD, EventKind.RAMP: RAMP, EventKind.FILL: FILL}[kind]
        return BUFFERED if self.where[row] >= 2 else WAITING

    def before(self, kind: EventKind, rows: tuple[int, ...]) -> None:
        """Moves that an event makes before its ticks pass."""
        for row in rows:
            if kind in (EventKind.START, EventKind.SEGMENT, EventKind.JOIN):
                self.where[row] = Place.RUNNING
            elif kind == EventKind.PREFILL:
                self.where[row] = Place.PREFILLING

    def after(self, kind: EventKind, rows: tuple[int, ...], segment: int) -> None:
        """Moves that an event makes once its ticks have passed."""
        for row in rows:
            if kind == EventKind.ADMIT:
                self.where[row] = 1
            elif kind == EventKind.RAMP:
                self.seen[row] = self.seen[row] or self.depth(row) <= segment
            elif kind == EventKind.PARK:
                self.where[row] = segment + 1
            elif kind == EventKind.EXIT:
                self.where[row], self.seen[row] = 1, False
                self.emitted[row] += 1
            elif kind == EventKind.COMPLETE:
                self.where[row] = Place.DONE


def place_time(log: Log, workload: Workload, config: ServerConfig, start: State | None = None) -> PlaceTime:
    """Place-time of a logged run (from `start`, if it began there), place by place from its events."""
    places, spent = _Places.at(workload, start), Counter[int]()
    for event in log.events:
        places.before(event.kind, event.rows)
        if event.ticks:
            concerned = frozenset(event.rows)
            held = [row for row, where in enumerate(places.where) if where not in (Place.WAITING, Place.DONE)]
            for row in held:
                spent[places.role(row, event.kind, event.segment, concerned)] += event.ticks
            spent[EMPTY] += (config.max_num_seqs - len(held)) * event.ticks
        places.after(event.kind, event.rows, event.segment)
    return PlaceTime(*(spent[category] for category in range(NUM_CATEGORIES)))
