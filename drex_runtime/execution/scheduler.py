"""The engine's own pools and decisions: who waits, who holds a row, what is launched next.

Holds no model state. The policy is asked through its `BoundPolicy`, as the simulators ask it; what the policy sees
comes from here alone. Source: scheduling model, sections Decisions and Observations.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Literal, Protocol

from drex_runtime.cost_model.model import Part
from drex_runtime.errors import EngineError, PolicyError
from drex_runtime.execution.requests import Sequence
from drex_runtime.policies.bind import PREFILL, BoundPolicy, BoundRampRule
from drex_runtime.scheduling.pools import Census, Pools, least_slack, ramp_view, token_dates
from drex_runtime.scheduling.recent import Recent

Batch = list[Sequence]


@dataclass(frozen=True, slots=True)
class Launch:
    """One decision: chunks (sequence, prompt tokens) of a PREFILL, or the first rows of a pool."""

    kind: Literal["PREFILL", "RUN", "IDLE"]
    rule: str
    pool: int = 0
    chunks: tuple[tuple[Sequence, int], ...] = ()
    batch: tuple[Sequence, ...] = ()


class Places(Protocol):
    """Who fills the places: rows of the hidden-state buffer and the memory behind them."""

    def can_hold(self, sequences: Items[Sequence]) -> bool:
        """Whether memory for these further requests is there beside what is promised already."""

    def cached_tokens(self, sequence: Sequence) -> int:
        """Prompt tokens of a request without a place that need not be computed if it gets one now."""

    def occupy(self, sequence: Sequence) -> None:
        """`sequence.row` serves this sequence from now on."""

    def vacate(self, sequence: Sequence) -> None:
        """The sequence is over: its row and memory are free."""


class Scheduler:
    """Pools 1..K+1 of row numbers, the queue of prompts, and the places."""

    def __init__(self, policy: BoundPolicy, places: Places) -> None:
        self.policy, self.config, self.places = policy.in_integers(), policy.config, places
        self.recent = Recent(policy.num_segments - 1)
        self.estimator = policy.estimator()  # of online parameters; None if all are frozen
        self.pools = Pools(policy.num_segments, policy.policy.order)
        self.waiting: list[Sequence] = []  # not fully prefilled, in (arrival, id) order
        self.at_row: list[Sequence | None] = [None] * self.config.max_num_seqs
        self.decodes_since_prefill = self.idle_streak = self.delayed_by_memory = 0
        self._free_rows = list(range(self.config.max_num_seqs - 1, -1, -1))
        self._admissions = 0
        self._prefilling: set[Sequence] = set()  # hold a place and a part of their prompt is still to come

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return len(self.at_row) - len(self._free_rows)

    @property
    def has_work(self) -> bool:
        """Whether any request is unfinished."""
        return bool(self.waiting) or self.in_flight > 0

    def submit(self, sequence: Sequence) -> None:
        """A request joins the queue (it may arrive in the future)."""
        insort(self.waiting, sequence, key=lambda item: (item.spec.arrival, item.spec.id))

    # ---- at a decision ------------------------------------------------------------------------------------
    def decide(self, now: int) -> Launch:
        """Admit, age the pools, ask the policy. The launch's rows stay pooled until `begin`."""
        self._admit(now)
        self.pools.count_decision()
        plan = self._prefill_plan(now)
        arrived = bisect_right(self.waiting, now, key=lambda item: item.spec.arrival) - len(self._prefilling)
        census = Census(arrived, self.in_flight, self.config.batch_max, self.config.max_num_seqs,
                        self.decodes_since_prefill)
        rule = self.policy.launch_rule(self.pools.launch_view(now, census), bool(plan))
        if rule is None or rule.target < 0:
            return Launch("IDLE", rule.label if rule else "")
        self.idle_streak = 0
        if rule.target == PREFILL:
            return Launch("PREFILL", rule.label, chunks=tuple(plan))
        rows = self.pools.first(rule.target, self.policy.batch_limit)
        return Launch("RUN", rule.label, rule.target, batch=self._sequences(rows))

    def idle_until(self, now: int, rule: str) -> int:
        """The end of an IDLE. PolicyError where idling leads nowhere, EngineError where a request was lost."""
        if not self.waiting and not len(self.pools):
            raise EngineError(f"{self.in_flight} requests hold a place, but none of them waits in a pool")
        coming = min((item.spec.arrival for item in self.waiting if item.spec.arrival > now), default=None)
        longest = self.config.idle_max
        if coming is not None:
            self.idle_streak = 0
            return coming if longest is None else min(coming, now + longest)
        self.idle_streak += int(len(self.pools) > 0 or bool(self._prefill_plan(now)))
        if longest is None or self.idle_streak >= 2:
            sizes = ", ".join(f"pool {pool}: {self.pools.size(pool)}" for pool in range(1, len(self.pools.ages) + 1))
            raise PolicyError(f"policy {self.policy.policy.name} idles for ever at clock {now} (rule "
                              f"{rule or 'none holds'}): nothing is to come; {sizes}, {len(self.waiting)} waiting")
        return now + longest

    def begin(self, launch: Launch) -> Batch:
        """Take the launch's rows out of their pool, or give its new prompts their places."""
        if launch.kind == "PREFILL":
            self.decodes_since_prefill = 0
            for sequence, _ in launch.chunks:
                if sequence.row < 0:
                    self._place(sequence)
                    self._prefilling.add(sequence)
            return [sequence for sequence, _ in launch.chunks]
        if launch.pool == 1:
            self.decodes_since_prefill += 1
        self.pools.remove(launch.pool, tuple(sequence.row for sequence in launch.batch))
        self.pools.ran(launch.pool)
        return list(launch.batch)

    # ---- in a pass ----------------------------------------------------------------------------------------
    def consults(self, ramp: int, batch: Batch, now: int) -> bool:
        """Whether the policy consults this ramp for this batch."""
        yes = self._policy_at(ramp, batch).consults(ramp, self._ramp_view(ramp, batch, 0, now))
        if not yes:
            self.recent.passed(ramp)
        return yes

    def consulted(self, ramp: int, batch: Batch, exits: int) -> None:
        """The ramp was consulted, `exits` rows of the batch are ready there."""
        self.recent.consulted(ramp, len(batch), exits)

    def ramp_rule(self, ramp: int, batch: Batch, exits: int, now: int) -> BoundRampRule:
        """What happens at a consulted ramp where somebody is not ready."""
        return self._policy_at(ramp, batch, deciding=True).ramp_rule(ramp, self._ramp_view(ramp, batch, exits, now))

    def joining(self, ramp: int, batch: Batch, exits: int, now: int) -> Batch:
        """Rows of the next pool that fill up the passing batch, taken out of their pool."""
        room = self.config.batch_max - len(batch)
        if not room or not self.pools.size(ramp + 1):
            return []
        if not self._policy_at(ramp, batch).joins(ramp, self._ramp_view(ramp, batch, exits, now)):
            return []
        rows = self.pools.first(ramp + 1, room)
        self.pools.remove(ramp + 1, rows)
        return list(self._sequences(rows))

    def took(self, part: Part, index: int, rows: int, ticks: int) -> None:
        """The engine's clock says how long a part of a pass took (never prefill): what online parameters feed on."""
        if self.estimator is not None:
            self.estimator.observe(part, index, rows, ticks)

    def enter(self, pool: int, sequence: Sequence, now: int) -> None:
        """The sequence's row waits in `pool` from now on."""
        sequence.dates = token_dates(sequence.spec, sequence.emitted, sequence.last)
        self.pools.add(pool, sequence.row, now=now, request_id=sequence.spec.id, dates=sequence.dates)

    def prefilled(self, sequence: Sequence) -> None:
        """The prompt is done: the sequence leaves the queue."""
        self.waiting.remove(sequence)
        self._prefilling.discard(sequence)

    def leave(self, sequence: Sequence) -> None:
        """The sequence's place is free at once."""
        self.places.vacate(sequence)
        self.at_row[sequence.row] = None
        self._free_rows.append(sequence.row)
        sequence.row = -1

    def withdraw(self, sequence: Sequence) -> None:
        """Take a sequence out of queue, pools and place, wherever it waits (not during a pass)."""
        if sequence in self.waiting:
            self.waiting.remove(sequence)
            self._prefilling.discard(sequence)
        for pool in range(1, self.policy.num_segments + 1):
            if sequence.row >= 0 and sequence.row in self.pools.rows(pool):
                self.pools.remove(pool, (sequence.row,))
        if sequence.row >= 0:
            self.leave(sequence)

    def youngest(self) -> Sequence:
        """The request in flight that got its place last."""
        return max((sequence for sequence in self.at_row if sequence is not None), key=lambda each: each.admitted)

    def preempt(self, sequence: Sequence) -> None:
        """Take place and memory away; the sequence queues again where its arrival puts it, what is out stays out."""
        self.withdraw(sequence)
        sequence.forget()
        self.submit(sequence)

    def adrift(self) -> Batch:
        """Requests that hold a place but wait nowhere: those of a launch that broke down."""
        pooled = {row for pool in range(1, self.policy.num_segments + 1) for row in self.pools.rows(pool)}
        return [sequence for sequence in self.at_row
                if sequence is not None and sequence.row not in pooled and sequence not in self._prefilling]

    # ---- inside -------------------------------------------------------------------------------------------
    def _policy_at(self, ramp: int, batch: Batch, *, deciding: bool = False) -> BoundPolicy:
        if self.estimator is None:
            return self.policy
        return self.estimator.policy_at(self.policy, ramp, len(batch), deciding=deciding)

    def _ramp_view(self, ramp: int, batch: Batch, exits: int, now: int) -> tuple[int, ...]:
        # A row known to be ready is one whose token a head has chosen.
        slack = least_slack((sequence.dates for sequence in batch if sequence.pending is None), now)
        return ramp_view(ramp, len(batch), exits, self.pools.size(ramp + 1), self.config.batch_max, slack,
                         self.recent.view(ramp))

    def _sequences(self, rows: Items[int]) -> tuple[Sequence, ...]:
        found = tuple(sequence for row in rows if (sequence := self.at_row[row]) is not None)
        if len(found) != len(rows):
            raise PolicyError(f"rows {tuple(rows)} are pooled but not all of them hold a request")
        return found

    def _place(self, sequence: Sequence) -> None:
        sequence.row, sequence.admitted = self._free_rows.pop(), self._admissions
        self._admissions += 1
        self.at_row[sequence.row] = sequence
        self.places.occupy(sequence)

    def _admit(self, now: int) -> None:
        """Zero-prompt requests that have arrived enter pool 1 while places (and memory) last."""
        for sequence in list(self.waiting):
            if sequence.spec.arrival > now or not self._free_rows:
                return
            if sequence.unprocessed:
                continue
            if not self.places.can_hold([sequence]):
                self.delayed_by_memory += 1
                return
            self._place(sequence)
            self.waiting.remove(sequence)
            self.enter(1, sequence, now)

    def _prefill_plan(self, now: int) -> list[tuple[Sequence, int]]:
        """The chunks (sequence, prompt tokens) a PREFILL would process now.

        Prompts get places in the queue's order; one that must wait holds up those behind it, but not the rest of a
        prompt that has a place already (with a prefix cache one may have got in for less memory).
        """
        budget, placing, begun = self.config.prefill_tokens, True, len(self._prefilling)
        free, chunks, placed = len(self._free_rows), list[tuple[Sequence, int]](), list[Sequence]()
        for sequence in self.waiting:
            if not placing and not begun:
                break
            if not sequence.unprocessed:
                continue
            begun -= sequence.row >= 0
            if sequence.spec.arrival > now or (budget is not None and budget <= 0):
                break
            left = sequence.unprocessed
            if sequence.row < 0:
                placing = placing and free > 0
                if not placing:
                    continue
                left -= self.places.cached_tokens(sequence)
                placed.append(sequence)
                if not self.places.can_hold(placed):
                    self.delayed_by_memory += 1
                    placing = False
                    continue
                free -= 1
            chunk = left if budget is None else min(left, budget)
            budget = None if budget is None else budget - chunk
            chunks.append((sequence, chunk))
        return chunks
