"""Room: before a launch the KV pool must hold its worst case; what is missing is taken from the youngest request.

The worst case of a pass is every row going on to the last segment, and every parked row that could join doing so, each
with the tokens it owes there (`debt`). If the pool cannot hold that, prompts that have no place yet are left out of the
launch, then the request that got its place last is preempted, in the launch or not, until the rest fits. It queues
again; its prompt and what is out so far are processed again (`replay`).

No livelock: the oldest request in flight is preempted by nothing, and alone it always fits (`intake` refuses what does
not), so it ends; then another is the oldest. A request that comes back gets a new number and is the youngest again.
Parked rows are preempted like others, so they cannot hold memory for ever.
"""

from __future__ import annotations

from dataclasses import replace

from drex_runtime.errors import EngineError
from drex_runtime.execution.memory import KVMemory
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scheduler import Launch, Scheduler
from drex_runtime.execution.statistics import Statistics


class Room:
    """Makes room for launches of one engine."""

    def __init__(self, scheduler: Scheduler, memory: KVMemory, statistics: Statistics) -> None:
        self._scheduler, self._memory, self._statistics = scheduler, memory, statistics

    def make(self, launch: Launch) -> Launch | None:
        """The launch, with those that had to go left out; None if nobody is left."""
        while self._missing(launch) > len(self._memory.pool.free_blocks):
            victim = self._victim(launch)
            if victim.row >= 0:
                self._scheduler.preempt(victim)
                self._statistics.preemptions += 1
            launch = replace(launch, batch=tuple(one for one in launch.batch if one is not victim),
                             chunks=tuple(chunk for chunk in launch.chunks if chunk[0] is not victim))
            if not launch.batch and not launch.chunks:
                return None
        return launch

    def _victim(self, launch: Launch) -> Sequence:
        if launch.chunks and launch.chunks[-1][0].row < 0:
            return launch.chunks[-1][0]
        if self._scheduler.in_flight < 2:
            raise EngineError("the KV pool cannot hold the only request in flight")
        return self._scheduler.youngest()

    def _missing(self, launch: Launch) -> int:
        memory, pools = self._memory, self._scheduler.pools
        if launch.kind == "PREFILL":
            return sum(memory.missing_for_run(sequence.row, count) for sequence, count in launch.chunks)
        missing = memory.missing_for_pass([sequence.row for sequence in launch.batch], launch.pool)
        room = self._scheduler.config.batch_max - len(launch.batch)
        for pool in range(launch.pool + 1, memory.tables.num_segments + 1):
            missing += memory.missing_for_pass(pools.first(pool, room), pool) if room else 0
        return missing
