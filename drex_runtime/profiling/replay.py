"""Replay: one workload through the real engine with scripted depths, predicted beside measured.

Decisions are taken on the profile's clock, so that engine and simulator make the same launches and each can be
compared; every launch is timed for real. The measured total is the sum of those times plus the idle time both share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from drex_runtime.engine import Engine
from drex_runtime.errors import DrexError
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.scripted import finished_run, submit_workload
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies import BoundPolicy
from drex_runtime.profiling.measure import Timer
from drex_runtime.records import Workload
from drex_runtime.records.ticks import TICKS_PER_SECOND
from drex_runtime.simulator import EventKind, LaunchRecord, Log, Run, simulate


class ReplayMismatchError(DrexError):
    """Engine and simulator took different decisions: a defect, or a profile that does not fit the model."""


@dataclass(frozen=True, slots=True)
class LaunchTime:
    """One launch: predicted and measured duration in ns."""

    launch: LaunchRecord
    predicted: int
    measured: int


@dataclass(frozen=True)
class Replay:
    """Predicted against measured. `idle` ns are the same on both sides."""

    launches: tuple[LaunchTime, ...]
    idle: int
    run: Run

    @property
    def predicted(self) -> int:
        """Predicted makespan in ns."""
        return self.idle + sum(item.predicted for item in self.launches)

    @property
    def measured(self) -> int:
        """Measured makespan in ns."""
        return self.idle + sum(item.measured for item in self.launches)

    def median_error(self, kind: str, pool: int) -> float | None:
        """Median relative error of predicted launches of one kind."""
        errors = [abs(item.predicted - item.measured) / item.measured for item in self.launches
                  if item.launch.kind == kind and item.launch.pool == pool]
        return median(errors) if errors else None


def replay(model: EarlyExitLlama, policy: BoundPolicy, workload: Workload, *, seed: int = 0,
           timer: Timer = time.perf_counter_ns, kv: KVConfig | None = None) -> Replay:
    """Run `workload` on the engine and in the simulator. `timer` in ns, that of the profile. `kv` None: room for all
    and the KV fill that the profile was measured with (share if it does not say), whose price the simulator knows.

    Raises ReplayMismatchError if a launch differs, InputError for a KV mode whose costs no profile has (recompute).
    """
    launches: list[LaunchRecord] = []
    kv = kv or KVConfig(model.config.max_positions, sequences=policy.config.max_num_seqs,
                        fill=policy.profile.meta.kv_fill or "share")
    engine = Engine(model, policy, clock=FakeClock(), launches=launches, kv=kv)
    log = Log(keep_steps=False)
    simulate(policy, workload, log=log)
    sequences = submit_workload(engine, workload, seed=seed)
    measured: list[int] = []
    while engine.has_work:
        before = len(launches)
        begun = timer()
        engine.step()
        if len(launches) > before:
            measured.append(timer() - begun)
    if launches != log.launches:
        at = next((i for i, pair in enumerate(zip(launches, log.launches, strict=False)) if pair[0] != pair[1]),
                  min(len(launches), len(log.launches)))
        raise ReplayMismatchError(f"launch {at} differs: engine {launches[at:at + 1]}, simulator "
                                  f"{log.launches[at:at + 1]}")
    scale = 10**9 // TICKS_PER_SECOND[policy.profile.tick] if policy.profile.tick != "ps" else 1
    predicted = [ticks * scale for ticks in launch_ticks(log)]
    idle = sum(event.ticks for event in log.events if event.kind == EventKind.IDLE) * scale
    times = tuple(LaunchTime(*item) for item in zip(launches, predicted, measured, strict=True))
    return Replay(times, idle, finished_run(engine, sequences))


def launch_ticks(log: Log) -> list[int]:
    """Predicted duration of each launch of a logged run, in ticks."""
    starts = [launch.start for launch in log.launches]
    ticks = [0] * len(starts)
    at = -1
    for event in log.events:
        while at + 1 < len(starts) and event.at >= starts[at + 1]:
            at += 1
        if event.kind != EventKind.IDLE and at >= 0:
            ticks[at] += event.ticks
    return ticks
