"""The clairvoyant optimum by trying everything: the judge of the exact search.

Written from the scheduling model's text alone, in the plainest form: a node is what the device and the requests
look like at a choice point, `actions` lists every legal choice there, `apply` charges one of them, and the best
way on from a node is found by recursion with a memo. Nothing is pruned, bounded or assumed interchangeable, so it
is for a handful of requests and tokens only.

Readings of the text: IDLE lasts until the next arrival whatever idle_max says; PREFILL takes every token of every
arrived prompt it has places for; a choice of rows is a choice of a set, so pool order does not matter here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, Place, State


class Row(NamedTuple):
    """One request: `place` is a pool number or a Place; `latched` = became ready in this pass and stayed."""

    place: int
    emitted: int
    prefilled: int
    latched: bool


class Node(NamedTuple):
    """A choice point. At DECIDE everybody who can be admitted has been."""

    now: int
    phase: Phase
    segment: int
    rows: tuple[Row, ...]


class TooLargeError(Exception):
    """More nodes than the caller allowed."""


def node_of(state: State) -> Node:
    """The part of a State record that a clairvoyant's future depends on."""
    rows = tuple(Row(place, emitted, prefilled, latched != 0) for place, emitted, prefilled, latched
                 in zip(state.place, state.emitted, state.prefilled, state.latched, strict=True))
    return Node(state.now, state.phase, state.segment, rows)


class BruteForce:
    """Optimal cost-to-go of one workload on one server.

    Cost-to-go from a node at time t: makespan = last completion - t (0 when all is done); total completion =
    the sum over unfinished requests of completion - t. Raises TooLargeError past `max_nodes` distinct nodes.
    """

    def __init__(self, workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective,
                 always_consult: bool = False, max_nodes: int = 10**7) -> None:
        self.requests, self.profile, self.config = workload.requests, profile, config
        self.last = workload.num_segments
        self.always_consult, self.per_request = always_consult, objective == "total-completion"
        self.memo: dict[Node, int] = {}
        self.max_nodes = max_nodes

    # -- values -------------------------------------------------------------------------------------------------

    def optimum(self) -> int:
        """The objective of the best schedule, from clock 0."""
        value = self.cost_to_go(self.initial())
        return value - sum(request.arrival for request in self.requests) if self.per_request else value

    def initial(self) -> Node:
        """Clock 0, those admitted who can be."""
        rows = tuple(Row(Place.WAITING, 0, 0, False) for _ in self.requests)
        return self.decision(0, rows)

    def value(self, state: State) -> int:
        """Cost-to-go of a State record, which may lie in the middle of a pass."""
        node = node_of(state)
        return self.cost_to_go(self.decision(node.now, node.rows) if node.phase is Phase.DECIDE else node)

    def cost_to_go(self, node: Node) -> int:
        """Cheapest way to finish from `node`, counted from node.now."""
        future = any(request.arrival > node.now for request in self.requests)
        key = node if future else node._replace(now=-1)  # with nobody to come, the time of day is irrelevant
        known = self.memo.get(key)
        if known is None:
            if node.phase is Phase.END:
                known = 0
            else:
                known = min(cost + self.cost_to_go(after) for cost, after in map(
                    lambda action: self.apply(node, action), self.actions(node)))
            self.memo[key] = known
            if len(self.memo) > self.max_nodes:
                raise TooLargeError(f"more than {self.max_nodes} nodes")
        return known

    # -- choices ------------------------------------------------------------------------------------------------

    def actions(self, node: Node) -> Iterator[Action]:
        """Every legal choice at `node`."""
        match node.phase:
            case Phase.DECIDE:
                if self.prefill_chunks(node):
                    yield Action(Kind.PREFILL)
                for pool in range(1, self.last + 1):
                    for rows in self.subsets(self.members(node.rows, pool), self.config.batch_max):
                        yield Action(Kind.RUN, pool, rows)
                if any(request.arrival > node.now for request in self.requests):
                    yield Action(Kind.IDLE)
            case Phase.CONSULT:
                yield Action(Kind.CONSULT)
                if not self.always_consult:
                    yield Action(Kind.SKIP)
            case Phase.RAMP:
                yield Action(Kind.SPLIT)  # nobody to park: all leave
                yield Action(Kind.CONTINUE)
            case Phase.JOIN:
                yield Action(Kind.STAY_APART)
                for rows in self.subsets(self.members(node.rows, node.segment + 1), self.room(node.rows)):
                    yield Action(Kind.JOIN, rows=rows)

    @staticmethod
    def subsets(rows: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
        """All non-empty subsets of up to `most` rows."""
        for size in range(1, min(len(rows), most) + 1):
            yield from combinations(rows, size)

    @staticmethod
    def members(rows: tuple[Row, ...], place: int) -> tuple[int, ...]:
        """Positions of the requests at a place."""
        return tuple(i for i, row in enumerate(rows) if row.place == place)

    def room(self, rows: tuple[Row, ...]) -> int:
        """Rows the running batch may still take."""
        return self.config.batch_max - len(self.members(rows, Place.RUNNING))

    def free_places(self, rows: tuple[Row, ...]) -> int:
        """Requests that may still be taken in flight."""
        return self.config.max_num_seqs - sum(row.place not in (Place.WAITING, Place.DONE) for row in rows)

    def ready(self, node: Node) -> tuple[int, ...]:
        """Running rows that may leave at the ramp after node.segment."""
        return tuple(i for i in self.members(node.rows, Place.RUNNING)
                     if node.rows[i].latched or self.depth(i, node.rows[i]) <= node.segment)

    def depth(self, i: int, row: Row) -> int:
        """Depth of the token that row i is about to emit."""
        return self.requests[i].depths[row.emitted]

    def prefill_chunks(self, node: Node) -> list[tuple[int, int]]:
        """(request, prompt tokens to process) of the PREFILL possible now."""
        chunks, places = [], self.free_places(node.rows)
        for i, (request, row) in enumerate(zip(self.requests, node.rows, strict=True)):
            rest = request.prompt_tokens - row.prefilled
            if request.arrival > node.now or rest == 0:
                continue
            if row.place == Place.WAITING:
                if places == 0:
                    break
                places -= 1
            chunks.append((i, rest))
        return chunks

    # -- consequences -------------------------------------------------------------------------------------------

    def apply(self, node: Node, action: Action) -> tuple[int, Node]:
        """Cost of an action, and the next choice point."""
        now, phase, s, rows = node
        match action.kind:
            case Kind.PREFILL:
                chunks = self.prefill_chunks(node)
                tokens = sum(chunk for _, chunk in chunks)
                pairs = sum(chunk * rows[i].prefilled for i, chunk in chunks)
                ticks = self.profile.prefill_cost(tokens, pairs)
                cost = self.charge(ticks, rows)
                for i, chunk in chunks:
                    filled = rows[i]._replace(prefilled=rows[i].prefilled + chunk)
                    rows = self.with_row(rows, i, self.after_token(i, filled))
                return cost, self.decision(now + ticks, rows)
            case Kind.IDLE:
                later = min(request.arrival for request in self.requests if request.arrival > now)
                return self.charge(later - now, rows), self.decision(later, rows)
            case Kind.RUN:
                assert action.rows is not None
                batch = self.moved(rows, action.rows, Place.RUNNING)
                return self.segment(now, action.pool, batch, self.profile.start_cost(action.pool))
            case Kind.CONSULT:
                ticks = self.profile.ramp_cost(s, len(self.members(rows, Place.RUNNING)))
                return self.charge(ticks, rows), Node(now + ticks, Phase.RAMP, s, rows)
            case Kind.SKIP:
                return self.onward(now, s, rows)
            case Kind.SPLIT:
                leaving = self.ready(node)
                fill = self.profile.fill_cost(len(leaving))
                cost = self.charge(fill, rows)
                rows = self.completed(rows, leaving)
                staying = self.members(rows, Place.RUNNING)
                rebatch = self.profile.rebatch if staying else 0
                rows = self.moved(rows, staying, s + 1)
                return cost + self.charge(rebatch, rows), self.decision(now + fill + rebatch, rows)
            case Kind.CONTINUE:
                for i in self.ready(node):
                    rows = self.with_row(rows, i, rows[i]._replace(latched=True))
                return self.onward(now, s, rows)
            case Kind.JOIN:
                assert action.rows is not None
                return self.segment(now, s + 1, self.moved(rows, action.rows, Place.RUNNING))
            case Kind.STAY_APART:
                return self.segment(now, s + 1, rows)
        raise ValueError(f"{action.kind.name} at {phase.name} is no choice of the clairvoyant")

    def onward(self, now: int, s: int, rows: tuple[Row, ...]) -> tuple[int, Node]:
        """The batch stays together after ramp s: may it be joined?"""
        if self.members(rows, s + 1) and self.room(rows) > 0:
            return 0, Node(now, Phase.JOIN, s, rows)
        return self.segment(now, s + 1, rows)

    def segment(self, now: int, s: int, rows: tuple[Row, ...], start: int = 0) -> tuple[int, Node]:
        """Run segment s with the running rows; after the last one everybody's token is out."""
        batch = self.members(rows, Place.RUNNING)
        context = sum(self.requests[i].prompt_tokens + rows[i].emitted for i in batch)
        ticks = start + self.profile.segment_cost(s, len(batch), context)
        if s < self.last:
            return self.charge(ticks, rows), Node(now + ticks, Phase.CONSULT, s, rows)
        ticks += self.profile.fill_cost(sum(rows[i].latched for i in batch))
        return self.charge(ticks, rows), self.decision(now + ticks, self.completed(rows, batch))

    def charge(self, ticks: int, rows: tuple[Row, ...]) -> int:
        """What `ticks` of time cost: once for the makespan, per unfinished request for the total."""
        unfinished = sum(row.place != Place.DONE for row in rows)
        return ticks * unfinished if self.per_request else ticks * (unfinished > 0)

    def decision(self, now: int, rows: tuple[Row, ...]) -> Node:
        """The device is idle: admit zero-prompt requests in order, then somebody must decide."""
        if all(row.place == Place.DONE for row in rows):
            return Node(now, Phase.END, 0, rows)
        for i, request in enumerate(self.requests):
            if (rows[i].place == Place.WAITING and request.prompt_tokens == 0 and request.arrival <= now
                    and self.free_places(rows) > 0):
                rows = self.moved(rows, (i,), 1)
        return Node(now, Phase.DECIDE, 0, rows)

    def completed(self, rows: tuple[Row, ...], positions: tuple[int, ...]) -> tuple[Row, ...]:
        """The tokens of these rows are out."""
        for i in positions:
            rows = self.with_row(rows, i, self.after_token(i, rows[i]))
        return rows

    def after_token(self, i: int, row: Row) -> Row:
        """Row i once its token is out: done, or ready for the next one."""
        emitted = row.emitted + 1
        done = emitted == len(self.requests[i].depths)
        return Row(Place.DONE if done else 1, emitted, row.prefilled, False)

    @staticmethod
    def with_row(rows: tuple[Row, ...], i: int, row: Row) -> tuple[Row, ...]:
        """`rows` with row i replaced."""
        return (*rows[:i], row, *rows[i + 1:])

    def moved(self, rows: tuple[Row, ...], positions: tuple[int, ...], place: int) -> tuple[Row, ...]:
        """`rows` with these requests at `place`."""
        for i in positions:
            rows = self.with_row(rows, i, rows[i]._replace(place=place))
        return rows
