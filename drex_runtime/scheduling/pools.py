"""Pools: who waits where, in which order, for how long. Used by the reference simulator and the engine.

Pool 1 holds ready rows, pool s >= 2 rows buffered before segment s, ordered by (entry time, id), or by
(next-token due, entry time, id) under `edf`. Source: scheduling model, Decisions and Observations.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from drex_runtime.policies.observation import SLACK_CAP
from drex_runtime.policies.table import PoolOrder
from drex_runtime.records.workload import Request

NO_DUE = SLACK_CAP * 2  # sorts after every real due date


class Dates(NamedTuple):
    """What a row has to meet: `due` of its next token (NO_DUE: none); `missed`: after this clock its request is missed.
    """

    due: int
    missed: int


NO_DATES = Dates(NO_DUE, NO_DUE)


class Entry(NamedTuple):
    """One waiting row. `key` orders the pool; `row` is whatever the owner calls a row."""

    key: tuple[int, ...]
    row: int
    entered: int
    dates: Dates


@dataclass(frozen=True, slots=True)
class Census:
    """What a decision sees beside the pools."""

    waiting: int
    in_flight: int
    batch_max: int
    max_num_seqs: int
    decodes_since_prefill: int


class Pools:
    """Ordered pools 1..num_segments with ages."""

    def __init__(self, num_segments: int, order: PoolOrder = "fcfs") -> None:
        self.order = order
        self.entries: list[list[Entry]] = [[] for _ in range(num_segments)]
        self.ages: list[int] = [0] * num_segments

    def __len__(self) -> int:
        return sum(len(pool) for pool in self.entries)

    def size(self, pool: int) -> int:
        """|pool s|."""
        return len(self.entries[pool - 1])

    def rows(self, pool: int) -> tuple[int, ...]:
        """Rows of pool s in order."""
        return tuple(entry.row for entry in self.entries[pool - 1])

    def add(self, pool: int, row: int, *, now: int, request_id: int, dates: Dates) -> None:
        """Row enters pool s at `now`."""
        key = (dates.due, now, request_id) if self.order == "edf" else (now, request_id)
        insort(self.entries[pool - 1], Entry(key, row, now, dates))

    def first(self, pool: int, count: int) -> tuple[int, ...]:
        """The first `count` rows of pool s."""
        return tuple(entry.row for entry in self.entries[pool - 1][:count])

    def remove(self, pool: int, rows: tuple[int, ...]) -> None:
        """Take `rows` out of pool s. KeyError if one is not there."""
        wanted = set(rows)
        kept = [entry for entry in self.entries[pool - 1] if entry.row not in wanted]
        if len(kept) + len(wanted) != len(self.entries[pool - 1]):
            raise KeyError(f"rows {rows} are not all in pool {pool}: {self.rows(pool)}")
        self.entries[pool - 1] = kept

    def count_decision(self) -> None:
        """A decision is being taken: non-empty pools grow one older, empty ones are new."""
        self.ages = [age + 1 if pool else 0 for age, pool in zip(self.ages, self.entries, strict=True)]

    def ran(self, pool: int) -> None:
        """RUN(s) was chosen: its age starts anew."""
        self.ages[pool - 1] = 0

    def launch_view(self, now: int, census: Census) -> tuple[int, ...]:
        """The observation of a decision, in the order of `LaunchSpace.names`."""
        view = [census.waiting, census.in_flight, census.max_num_seqs - census.in_flight, self.size(1),
                census.decodes_since_prefill, census.batch_max, census.max_num_seqs]
        for age, pool in zip(self.ages, self.entries, strict=True):
            oldest = now - min((entry.entered for entry in pool), default=now)
            view += [len(pool), age, oldest, least_slack((entry.dates for entry in pool), now)]
        return tuple(view)


def ramp_view(segment: int, batch: int, exits: int, buffered_next: int, batch_max: int, batch_slack: int,
              recent: tuple[int, ...]) -> tuple[int, ...]:
    """The observation at a ramp, in the order of `RAMP_NAMES`; `recent` = `Recent.view` of that ramp."""
    return (segment, batch, exits, buffered_next, batch_max, batch_slack, *recent)


def least_slack(dates: Iterable[Dates], now: int) -> int:
    """Time until the first of these tokens is due: 0 if it is late and its request can still be met. Missed requests
    are left out; SLACK_CAP if none is left."""
    slacks = (max(each.due - now, 0) for each in dates if max(each.due, each.missed) >= now)
    return min(min(slacks, default=SLACK_CAP), SLACK_CAP)


def token_dates(request: Request, emitted: int, last_emitted: int) -> Dates:
    """The dates of a row whose next token is number `emitted` + 1."""
    due, missed = next_token_due(request, emitted, last_emitted), missed_after(request)
    late = NO_DUE if due is None else due
    return Dates(late, late if missed is None else missed)


def next_token_due(request: Request, emitted: int, last_emitted: int) -> int | None:
    """When token `emitted` + 1 is due, or None.

    With ttft or tpot targets: arrival + ttft + emitted * tpot (ttft alone dates token 1 only; tpot alone counts
    from the arrival, one tpot per token). Else the request's due date spread over its remaining tokens:
    last + floor((due - last) / remaining), `last_emitted` being the arrival before the first token.
    """
    if request.ttft is not None or request.tpot is not None:
        if request.tpot is None:
            return None if emitted or request.ttft is None else request.arrival + request.ttft
        if request.ttft is None:
            return request.arrival + (emitted + 1) * request.tpot
        return request.arrival + request.ttft + emitted * request.tpot
    if request.due is None:
        return None
    return last_emitted + (request.due - last_emitted) // (request.output_tokens - emitted)


def missed_after(request: Request) -> int | None:
    """The clock after which a request is missed although its token in work was merely late, or None.

    A due date spread over the tokens can still be met after one token came late; targets promise every token.
    """
    return request.due if request.ttft is None and request.tpot is None else None
