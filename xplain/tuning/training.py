"""The training workloads of tuning, with everything that no setting changes computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import ServerConfig
from drex_runtime.simulator.arrays import CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.problems.operating import OperatingProblem
from xplain.problems.trace_source import TraceSource
from xplain.records import Point, Region, Sample

Kind = Literal["adversarial", "benign", "recorded", "challenge"]
REFERENCE = shipped_policy("no-exit")  # what a setting's throughput is measured against


@dataclass(frozen=True)
class TrainingPoint:
    """A point with its workloads. `upper`: the benchmark's objective, summed over them (ticks); `spans`: the makespan
    of `no-exit` on each, at equal N and batch_max."""

    kind: Kind
    config: ServerConfig
    workloads: tuple[CompiledWorkload, ...]
    upper: int
    spans: tuple[int, ...]


def training_point(problem: OperatingProblem, point: Point, kind: Kind) -> TrainingPoint:
    """Make the workloads of a point and run benchmarks and `no-exit` on them."""
    config = problem.config(point)
    workloads = tuple(compiled_workload(workload) for workload in problem.workloads(point))
    benchmarks = [compiled_policy(problem.bound(item, point)) for item in problem.benchmarks]
    upper = min(sum(int(simulate_compiled(program, workload).objective(problem.objective)) for workload in workloads)
                for program in benchmarks)
    reference = compiled_policy(bind(REFERENCE, problem.profile, config))
    spans = tuple(simulate_compiled(reference, workload).makespan for workload in workloads)
    return TrainingPoint(kind, config, workloads, upper, spans)


def worst_and_benign(samples: Sequence[Sample], regions: Sequence[Region], adversarial: int,
                     benign: int) -> tuple[list[Sample], list[Sample]]:
    """The worst samples, inside regions first, and others drawn from the declared distribution."""
    inside = [item for item in samples if any(region.holds(item.features) for region in regions)] or list(samples)
    worst = sorted(inside, key=lambda item: -item.relative_gap)[:adversarial]
    taken = {item.index for item in worst}
    return worst, [item for item in samples if item.origin == "random" and item.index not in taken][:benign]


def recorded_points(problem: OperatingProblem, count: int, seed: int) -> list[dict[str, float]]:
    """Windows of a recording at its own speed, spread evenly over it, N from the declared distribution; none where the
    workloads are generated, or the trace has no speed (all its requests arrive at once)."""
    source = problem.source
    if not isinstance(source, TraceSource):
        return []
    rng, found = np.random.default_rng([seed, 32_452_843]), []
    for number in range(count):
        point = problem.draw(rng) | {"window": (number + 0.5) / count}
        load = source.recorded_load(problem.profile, problem.config(point).batch_max)
        if load:
            found.append(point | {"load": load})
    return found
