"""One engine per policy, built once and warmed up; workloads go through it again and again."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from drex_runtime.bench.metrics import Metrics, Slo, measure_run
from drex_runtime.bench.occupancy import Occupancy, OccupancyWatch
from drex_runtime.engine import Engine
from drex_runtime.errors import RecordError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.nominal import nominal_profile
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scripted import prompt_of
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies import Policy, bind
from drex_runtime.policies.bind import Settings
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.records.ticks import TICKS_PER_SECOND


@dataclass(frozen=True)
class Entry:
    """A policy that takes part, under the name it is reported by."""

    name: str
    policy: Policy
    settings: Settings


@dataclass(frozen=True)
class RunResult:
    """One workload through one engine: metrics, what the engine counted meanwhile, and CPU seconds of the process
    (without waiting: what is left of a comparison where other programs share the machine; for one torch thread)."""

    metrics: Metrics
    counts: Mapping[str, int]
    cpu_seconds: float

    @property
    def tokens_per_cpu_second(self) -> float:
        """Throughput by CPU time."""
        return self.metrics.tokens / max(self.cpu_seconds, 1e-9)


class Contestant:
    """An entry's engine; `kv` and `stay` as for `Engine`."""

    def __init__(self, entry: Entry, model: EarlyExitLlama, config: ServerConfig, *, profile: CostProfile | None = None,
                 max_model_len: int | None = None, kv: KVConfig | None = None, stay: str = "commit") -> None:
        self.name = entry.name
        bound = bind(entry.policy, profile or nominal_profile(model.config, config.batch_max), config, entry.settings)
        self.values = {name: str(value) for name, value in bound.values.items()}
        self.engine = Engine(model, bound, kv=kv, max_model_len=max_model_len, stay=stay)
        self.ns_per_tick = 10**9 / TICKS_PER_SECOND[bound.profile.tick]

    def run(self, workload: Workload, slo: Slo, *, seed: int = 0, max_concurrency: int | None = None) -> RunResult:
        """The whole workload, arrivals counted from now. `max_concurrency`: a request is sent only while fewer than
        so many are unfinished (its arrival is then the moment of sending)."""
        if max_concurrency is not None and max_concurrency < 1:
            raise RecordError("bench", "max_concurrency", max_concurrency, "1 or more")
        gc.collect()
        before = asdict(self.engine.statistics)
        begun = time.process_time()
        sequences = self._drive(workload, seed, max_concurrency)
        spent = time.process_time() - begun
        after = asdict(self.engine.statistics)
        counts = {name: after[name] - before[name] for name in after if isinstance(after[name], int)}
        return RunResult(measure_run(sequences, slo, self.ns_per_tick), counts, spent)

    def timed_parts(self, workload: Workload, seed: int = 0) -> dict[str, float]:
        """Seconds per part of a launch over one run; `glue` is what no part covers."""
        watch = self.engine.stopwatch
        watch.parts.clear()
        watch.enabled = True
        begun = time.perf_counter()
        self._drive(workload, seed, None)
        total = time.perf_counter() - begun
        watch.enabled = False
        found: dict[str, float] = {}
        for part in watch.parts:
            found[part.part] = found.get(part.part, 0.0) + part.ns / 1e9
        watch.parts.clear()
        return {**found, "glue": max(0.0, total - sum(found.values()))}

    def occupancy(self, workload: Workload, seed: int = 0, max_concurrency: int | None = None) -> Occupancy:
        """What the KV pool holds during one run (untimed: looking takes time)."""
        watch = OccupancyWatch(self.engine)
        self._drive(workload, seed, max_concurrency, watch.look)
        return watch.found()

    # ---- inside -------------------------------------------------------------------------------------------
    def _drive(self, workload: Workload, seed: int, most: int | None,
               after_step: Callable[[], None] | None = None) -> list[Sequence]:
        engine, origin = self.engine, self.engine.clock.now()
        waiting = deque(workload.requests)
        made = {item.id: prompt_of(item, seed, engine.intake.model.vocab_size) for item in workload.requests}
        sent: list[Sequence] = []
        open_requests: set[Sequence] = set()
        origin = engine.clock.now()
        while waiting or open_requests:
            while waiting and (most is None or len(open_requests) < most):
                due_at = origin + waiting[0].arrival
                if most is not None and due_at > engine.clock.now():
                    if open_requests:
                        break
                    engine.clock.wait_until(due_at)
                item = waiting.popleft()
                at = due_at if most is None else max(due_at, engine.clock.now())
                sequence = engine.intake.scripted(_at(item, at), made[item.id], SamplingParams(ignore_eos=True))
                open_requests.add(engine.submit(sequence))
                sent.append(sequence)
            open_requests.difference_update([item for item in engine.step() if item.finished])
            if after_step is not None:
                after_step()
        return sent


def _at(request: Request, arrival: int) -> Request:
    return replace(request, arrival=arrival,
                   due=None if request.due is None else arrival + request.due - request.arrival)
