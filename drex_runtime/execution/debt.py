"""Debts of `--kv-fill recompute`: tokens that left early and whose deeper K and V are put off, never replaced.

A token that left after segment r has its hidden state kept; K and V of segments r + 1..K + 1 are *owed*. They are paid

- segment by segment, before a later token of the same request runs there: the owed tokens run through the segment
  first, and what comes out is what the next segment is owed;
- or all at once, before the request's next pass begins, where `max_debt` tokens are owed. So no request ever owes more.

Attention of any segment therefore sees, for every past token, the K and V of full depth. What a request owes when it
ends or loses its place is dropped; replay runs past inputs at full depth. Exact, and paid in time: depths then no
longer say what a request costs, so that no cost profile, simulator or analysis covers this mode.

A later token owes the segments that an earlier one owes, or more: what a row owes in a segment is the last of its
processed positions, and whoever runs the last segment owes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

import numpy as np
import torch

from drex_runtime.errors import EngineError, InputError
from drex_runtime.execution.clock import Clock, FakeClock
from drex_runtime.execution.launch_index import Index
from drex_runtime.execution.memory import KVConfig
from drex_runtime.kv.pool import SCRATCH, KVPoolError

if TYPE_CHECKING:
    from drex_runtime.execution.runner import Runner

CHUNK = 256  # owed tokens computed at a time: bounds activations and gathered K and V, changes no result


def refuse_profile_clock(kv: KVConfig, clock: Clock) -> None:
    """InputError for recompute on a clock that advances by a profile's costs."""
    if kv.fill == "recompute" and isinstance(clock, FakeClock):
        raise InputError("engine", "kv fill", kv.fill, "share or propagate where a profile's costs drive the clock "
                         "(replay, simulation): none of them has a cost for recomputing")


class Debts:
    """What the rows of a runner owe: `states[rows * max_debt, d]` beside the counts in `KVMemory.owed`."""

    def __init__(self, runner: Runner, num_rows: int, max_debt: int) -> None:
        self._runner, self.max_debt = runner, max_debt
        self.owed = runner.memory.owed
        self.states = torch.zeros(num_rows * max_debt, runner.hidden.shape[1], dtype=runner.hidden.dtype)

    def of(self, row: int) -> int:
        """Tokens of a row that owe at least one segment."""
        return int(self.owed[-1, row])

    def owe(self, segment: int, rows: Items[int]) -> None:
        """The running tokens of these rows left after `segment`: their states are kept. EngineError past the bound."""
        index = np.array(rows, dtype=np.int64)
        slots = self.owed[-1, index]
        if (slots >= self.max_debt).any():
            raise EngineError(f"a row would owe more than {self.max_debt} tokens")
        self.states[torch.from_numpy(index * self.max_debt + slots)] = self._runner.hidden[torch.from_numpy(index)]
        self.owed[segment:, index] += 1
        self._runner.statistics.tokens_owed += len(index)

    def due(self, segment: int, rows: Index) -> Index:
        """Those of `rows`, about to run `segment`, that have to pay before: who owes it, for segment 1 who is at the
        bound."""
        due: Index = rows[self.owed[segment - 1, rows] > 0 if segment > 1 else self.owed[-1, rows] >= self.max_debt]
        return due

    def pay(self, segment: int, rows: Index) -> None:
        """What these rows, which are `due`, owe in `segment` is computed; for segment 1, what they owe in all.

        The pool must hold the cells (`KVMemory.missing_for_pass` counts them for the launch).
        """
        if segment > 1:
            self._pay(segment, rows)
            return
        self._runner.statistics.debt_bound_hits += len(rows)
        for deeper in range(2, len(self.owed) + 1):
            if (owing := self.due(deeper, rows)).size:
                self._pay(deeper, owing)

    def _pay(self, segment: int, rows: Index) -> None:
        runner, counts, ends = self._runner, self.owed[segment - 1, rows], self.owed[-1, rows]
        starts = runner.positions[rows] - counts
        bases = np.concatenate([runner.memory.tables.own_run(segment, row, start, count) for row, start, count in
                                zip(rows.tolist(), starts.tolist(), counts.tolist(), strict=True)])
        within = np.arange(len(bases)) - np.repeat(np.cumsum(counts) - counts, counts)
        positions = np.repeat(starts, counts) + within
        slots = torch.from_numpy(np.repeat(rows * self.max_debt + ends - counts, counts) + within)
        owners = np.repeat(rows, counts)
        for begin in range(0, len(bases), CHUNK):  # a row's tokens in order: what a chunk needs is there before it
            part = slice(begin, begin + CHUNK)
            self.states[slots[part]] = runner.extend(segment, owners[part], positions[part], bases[part],
                                                     self.states[slots[part]])
        self.owed[segment - 1, rows] = 0
        runner.statistics.rows_recomputed += len(bases)
        if segment == len(self.owed):
            runner.statistics.tokens_recomputed += len(bases)

    def check(self, rows: Items[int]) -> None:
        """KVPoolError where a row owes more than the bound, or the tables do not say the same as the debts."""
        tables = self._runner.memory.tables
        for row in rows:
            if self.of(row) > self.max_debt:
                raise KVPoolError(f"row {row} owes {self.of(row)} tokens, more than {self.max_debt}")
            past = int(self._runner.positions[row])
            for segment in range(1, len(self.owed) + 1):
                paid = past - int(self.owed[segment - 1, row])
                base, stride = tables.base[segment - 1, row, :past], tables.stride[segment - 1, row, :past]
                if (stride[:paid] == 0).any() or (base[paid:] != SCRATCH).any():
                    raise KVPoolError(f"row {row}, segment {segment}: of {past} positions other than the first {paid} "
                                      "have K and V")
