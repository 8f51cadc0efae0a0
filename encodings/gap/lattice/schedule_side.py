"""All schedules over all depths as one network: the optimum is its cheapest open path.

A node is a device at rest: each request's position and, while somebody is still to arrive, the clock. An arc is
PREFILL, IDLE, or a launch: rows of a pool, rows that join at the ramps it passes, and the segment after which it ends.
Only the last ramp of a launch is consulted: consulting one and going on pays the ramp, and the fill of the rows that
stay, for the same completions as passing it by (ready rows are as ready at the next ramp). At that ramp the ready rows
leave and the others are parked; the arc needs the bits of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, combinations

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, ServerConfig
from drex_runtime.scheduling.state import Objective
from xplain.encodings.gap.lattice.network import END, Arc, Builder, Gate, Network
from xplain.encodings.gap.lattice.spans import spent
from xplain.encodings.gap.watch import TimeUpError, Watch
from xplain.encodings.steps.inputs import InputSpace

MAX_ARCS = 2_000_000
Rows = tuple[int, ...]
WAITING, DONE = (0, 0), (-1, 0)
Where = tuple[int, int]  # pool (0: waiting, -1: done), tokens out
NEVER = -1  # the clock of a state in which everybody has arrived: it does not matter


@dataclass(frozen=True, slots=True)
class Rest:
    """A device at rest, requests admitted."""

    where: tuple[Where, ...]
    now: int


def schedule_network(space: InputSpace, profile: CostProfile, config: ServerConfig, objective: Objective,
                     watch: Watch) -> Network:
    """The network of all schedules. LimitError past MAX_ARCS, TimeUpError past the watch's time."""
    return _Schedules(space, profile, config, objective, watch).network()


@dataclass
class _Schedules:
    space: InputSpace
    profile: CostProfile
    config: ServerConfig
    objective: Objective
    watch: Watch
    builder: Builder = field(default_factory=Builder)

    def __post_init__(self) -> None:
        requests = self.space.requests
        self.tokens = [each.lengths[0] for each in requests]
        self.arrivals = [each.arrivals[0] for each in requests]
        self.prompts = [each.prompt_tokens for each in requests]
        self.deepest = self.space.num_segments
        self.states: list[Rest] = []

    def network(self) -> Network:
        """Every state that some schedule leads to."""
        root = self._node(self._rest([WAITING] * len(self.tokens), 0))
        done = count = 0
        arcs: list[Arc] = []
        while done < len(self.states):
            if self.watch.is_over:
                raise TimeUpError(f"the time was up after {done} states of schedules")
            best: dict[tuple[int, tuple[Gate, ...]], int] = {}
            for head, cost, gates in self._leaving(self.states[done]):
                key = (head, gates)
                best[key] = min(best.get(key, cost), cost)
            arcs += [Arc(done, head, cost, gates) for (head, gates), cost in best.items()]
            count += len(best)
            if count > MAX_ARCS:
                raise LimitError(f"lattice: schedules over this space have more than {MAX_ARCS} launches; take fewer "
                                 "requests or tokens, or another method")
            done += 1
        return Network(len(self.states), root, tuple(arcs))

    # ---- states -------------------------------------------------------------------------------------------
    def _rest(self, where: list[Where], now: int) -> Rest:
        """At rest at `now`: admissions made, the clock dropped once everybody has arrived."""
        free = self.config.max_num_seqs - sum(each not in (WAITING, DONE) for each in where)
        for row, each in enumerate(where):
            if each == WAITING and not self.prompts[row] and self.arrivals[row] <= now and free > 0:
                where[row], free = (1, 0), free - 1
        return Rest(tuple(where), now if max(self.arrivals) > now else NEVER)

    def _node(self, rest: Rest) -> int:
        if all(each == DONE for each in rest.where):
            return END
        number, new = self.builder.node(rest)
        if new:
            self.states.append(rest)
        return number

    def _leaving(self, rest: Rest) -> Iterator[tuple[int, int, tuple[Gate, ...]]]:
        """(head, cost, gates) of every choice."""
        now = max(self.arrivals) if rest.now == NEVER else rest.now
        yield from self._prefill(rest, now)
        coming = [arrival for arrival in self.arrivals if arrival > now]
        if coming:
            yield self._to(rest, now, list(rest.where), (), min(coming), min(coming), ())
        for pool in range(1, self.deepest + 1):
            for rows in _subsets(self._pool(rest, pool), 1, self.config.batch_max):
                yield from self._pass(rest, now, now + self.profile.start_cost(pool), pool, rows)

    def _prefill(self, rest: Rest, now: int) -> Iterator[tuple[int, int, tuple[Gate, ...]]]:
        free = self.config.max_num_seqs - sum(each not in (WAITING, DONE) for each in rest.where)
        rows = [row for row, each in enumerate(rest.where)
                if each == WAITING and self.prompts[row] and self.arrivals[row] <= now][:free]
        if rows:
            end = now + self.profile.prefill_cost(sum(self.prompts[row] for row in rows), 0)
            yield self._to(rest, now, list(rest.where), tuple(rows), end, end, ())

    def _pass(self, rest: Rest, began: int, now: int, segment: int, rows: Rows
              ) -> Iterator[tuple[int, int, tuple[Gate, ...]]]:
        """From segment `segment` on, which `rows` are about to run."""
        context = sum(self.prompts[row] + rest.where[row][1] for row in rows)
        now += self.profile.segment_cost(segment, len(rows), context)
        where = list(rest.where)
        if segment == self.deepest:
            yield self._to(rest, began, where, rows, now, now, ())
            return
        after = now + self.profile.ramp_cost(segment, len(rows))
        for ready in _subsets(rows, 0, len(rows)):
            gates = tuple(Gate((row, rest.where[row][1], segment), row in ready) for row in rows)
            left = after + self.profile.fill_cost(len(ready))
            parked = [row for row in rows if row not in ready]
            moved = where.copy()
            for row in parked:
                moved[row] = (segment + 1, where[row][1])
            yield self._to(rest, began, moved, ready, left, left + (self.profile.rebatch if parked else 0), gates)
        waiting = self._pool(rest, segment + 1)
        for joining in _subsets(waiting, 0, self.config.batch_max - len(rows)):
            yield from self._pass(rest, began, now, segment + 1, tuple(sorted((*rows, *joining))))

    def _to(self, rest: Rest, began: int, where: list[Where], out: Rows, left: int, end: int, gates: tuple[Gate, ...]
            ) -> tuple[int, int, tuple[Gate, ...]]:
        """The arc of a launch after which rows `out` have one more token, at `left`, and the device rests at `end`."""
        for row in out:
            emitted = where[row][1] + 1
            where[row] = DONE if emitted == self.tokens[row] else (1, emitted)
        present = ((self.arrivals[row], left if where[row] == DONE else end)
                   for row, each in enumerate(rest.where) if each != DONE)
        cost = spent(self.objective, began, end, present)
        return self._node(self._rest(where, end)), cost, gates

    def _pool(self, rest: Rest, pool: int) -> Rows:
        return tuple(row for row, each in enumerate(rest.where) if each[0] == pool)


def _subsets(rows: Rows, least: int, most: int) -> Iterator[Rows]:
    return chain.from_iterable(combinations(rows, size) for size in range(least, min(most, len(rows)) + 1))
