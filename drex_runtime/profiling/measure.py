"""Timing the real engine: scripted workloads that make every cost of a profile appear at known sizes.

For each batch size b and context, b requests run with all tokens deep (every pass is split, parked and run again:
segments, ramp, rebatch, start) and with all tokens shallow (ramp, exit); prompts give prefill points, chunked ones
the price of earlier context. Rounds are interleaved so that drift of the machine spreads over all points.

What an exit costs does not depend on the ramp where entries are shared, so ramp 1 stands for all. An engine that
propagates computes K and V of every deeper layer, which is more work at the first ramp than at the last: there all
tokens leave at each ramp in turn, as many points of each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drex_runtime.engine import Engine
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.nominal import nominal_profile
from drex_runtime.execution.scripted import submit_workload
from drex_runtime.execution.statistics import PartTime
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import Request, ServerConfig, Workload
from drex_runtime.records.profile import KVFill

Progress = Callable[[str], None]
Timer = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Point:
    """One timed cost in ns. kind: segment, ramp, start, rebatch, fill, prefill; `segment` also numbers ramps.

    `rows`: rows of the batch (fill: rows leaving; prefill: tokens); `context`: sum of ctx (prefill: pairs).
    """

    kind: str
    segment: int
    rows: int
    context: int
    ns: int


@dataclass(frozen=True)
class Plan:
    """What is measured. `batches` become the profile's buckets; `contexts` are prompt lengths in tokens; `kv_fill` is
    that of the engine."""

    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    contexts: tuple[int, ...] = (8, 64, 192)
    tokens: int = 4
    rounds: int = 3
    seconds: float | None = None
    kv_fill: KVFill = "share"

    def depths(self, num_segments: int) -> tuple[int, ...]:
        """Depths at which all tokens of a run leave; the last is full depth."""
        if self.kv_fill == "share":
            return tuple(dict.fromkeys((1, num_segments)))
        return tuple(range(1, num_segments + 1))


def measure(model: EarlyExitLlama, plan: Plan, progress: Progress = lambda _: None,
            timer: Timer = time.perf_counter_ns) -> tuple[list[Point], int]:
    """All points of `plan` and the number of complete rounds: fewer than asked once `seconds` are over, never less than
    one, since every point is needed. `timer` in ns: the wall clock, or the thread's CPU time on a shared machine."""
    cases = [(batch, context) for batch in plan.batches for context in plan.contexts]
    most = model.config.max_positions - plan.tokens - 1
    cases = [(batch, min(context, most)) for batch, context in cases]
    deep = model.config.num_segments
    depths = plan.depths(deep)
    for depth in depths:  # warm-up: allocations and compiled attention are not a launch's cost
        _run(model, plan, max(plan.batches), plan.contexts[0], depth, plan.tokens, None, timer)
    points: list[Point] = []
    begun = time.monotonic()
    for done in range(plan.rounds):
        for number, (batch, context) in enumerate(cases, start=1):
            if done and plan.seconds is not None and time.monotonic() - begun > plan.seconds:
                return points, done
            progress(f"round {done + 1}/{plan.rounds}, case {number}/{len(cases)}: {batch} rows, context {context}")
            for depth in depths:
                points += _run(model, plan, batch, context, depth, plan.tokens, None, timer)
            if batch == 1:
                points += _run(model, plan, batch, context, deep, 1, max(1, context // 3), timer)
    return points, plan.rounds


def _run(model: EarlyExitLlama, plan: Plan, batch: int, context: int, depth: int, tokens: int,
         chunk: int | None, timer: Timer) -> list[Point]:
    """One workload of equal requests through the engine; every timed part as points."""
    deep = model.config.num_segments
    depths = (deep, *(depth,) * tokens)
    requests = [Request(number, 0, context, depths) for number in range(batch)]
    config = ServerConfig(batch, batch, chunk)
    policy = bind(shipped_policy("flush-now"), nominal_profile(model.config, batch), config)
    engine = Engine(model, policy, kv=KVConfig(model.config.max_positions, sequences=batch, fill=plan.kv_fill))
    engine.stopwatch.enabled, engine.stopwatch.timer = True, timer
    submit_workload(engine, Workload.of(deep, requests))
    points: list[Point] = []
    while engine.has_work:
        engine.stopwatch.parts.clear()
        begun = timer()
        engine.step()
        points += launch_points(engine.stopwatch.parts, timer() - begun, deep)
    return points


def launch_points(parts: Sequence[PartTime], total: int, num_segments: int) -> list[Point]:
    """The parts of one launch as costs of the model; `total` is the launch's wall time.

    What has no cost of its own is charged where it always occurs: decision, set-up and glue of a launch go to the
    first segment of RUN(1), to `start` of a deeper launch, to the prefill; handing out tokens goes to the last
    segment, or to `fill` where rows leave at a ramp.
    """
    glue = total - sum(part.ns for part in parts)
    overhead = glue + sum(part.ns for part in parts if part.part in ("decision", "start"))
    found: list[Point] = []
    deep = next((part for part in parts if part.part == "start" and part.segment >= 2), None)
    if deep is not None:
        found.append(Point("start", deep.segment, deep.rows, 0, overhead))
        overhead = 0
    emitted = sum(part.ns for part in parts if part.part == "emit" and part.segment == num_segments)
    for part in parts:
        if part.part == "prefill":
            found.append(Point("prefill", 0, part.rows, part.context, part.ns + overhead + emitted))
        elif part.part == "segment":
            first = overhead if part.segment == 1 else 0
            last = emitted if part.segment == num_segments else 0
            found.append(Point("segment", part.segment, part.rows, part.context, part.ns + first + last))
        elif part.part == "ramp" or (part.part == "rebatch" and part.rows):
            found.append(Point(part.part, part.segment, part.rows, 0, part.ns))
        elif part.part == "emit" and part.segment < num_segments and part.rows:
            found.append(Point("fill", part.segment, part.rows, 0, part.ns))
    return found
