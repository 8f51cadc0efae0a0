"""EE scheduling at operating scale: a policy against benchmark policies on generated workloads.

One evaluation = several seeded workloads at one point; objectives are summed over them, so the gap is that of the
mean. The benchmark is the best of the given policies at the point, all at equal batch_max and N.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from drex_runtime.policies import BoundPolicy, Policy, bind
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.compiled import CompiledRun, simulate_compiled
from xplain.problems.source import Generated, WorkloadSource
from xplain.records import Dimension, Origin, Point, Sample, Scale
from xplain.space import Space

KEPT_BINDINGS = 4096


@dataclass(frozen=True)
class Contender:
    """A policy with the settings it runs with."""

    name: str
    policy: Policy
    settings: Mapping[str, str] = field(default_factory=dict)


class OperatingProblem:
    """`heuristic` against the best of `benchmarks` over `space`. Thread-safe; evaluations are deterministic."""

    scale: Scale = "operating"

    def __init__(self, heuristic: Contender, benchmarks: tuple[Contender, ...], profile: CostProfile, space: Space,
                 objective: Objective, threshold: float, seed: int, replicates: int = 2,
                 source: WorkloadSource | None = None) -> None:
        self.heuristic, self.benchmarks, self.profile = heuristic, benchmarks, profile
        self.space, self.objective, self.threshold = space, objective, threshold
        self.seed, self.replicates, self.source = seed, replicates, source or Generated()
        self._lock = threading.Lock()
        self._bound: dict[tuple[int, tuple[tuple[str, str], ...], int], BoundPolicy] = {}

    def config(self, point: Point) -> ServerConfig:
        """Resources at a point: N = num_seqs, batch_max = N where the profile covers it."""
        places = int(point["num_seqs"])
        return ServerConfig(min(places, self.profile.max_rows), places)

    def bound(self, contender: Contender, point: Point) -> BoundPolicy:
        """The contender at the point's resources (kept: binding costs as much as a short simulation)."""
        config = self.config(point)
        # By identity: a user's table may carry a shipped name. The bound policy keeps its table alive.
        key = (id(contender.policy), tuple(sorted(contender.settings.items())), config.max_num_seqs)
        with self._lock:
            if key not in self._bound:
                if len(self._bound) >= KEPT_BINDINGS:
                    self._bound.clear()
                self._bound[key] = bind(contender.policy, self.profile, config, contender.settings)
            return self._bound[key]

    def workloads(self, point: Point) -> list[Workload]:
        """The seeded workloads of a point."""
        batch_max = self.config(point).batch_max
        return [self.source.workload(point, self.profile, batch_max, self.seed, replicate)
                for replicate in range(self.replicates)]

    def features(self, point: Point) -> dict[str, float]:
        """What regions are read over at a point."""
        return self.source.features(point, self.profile, self.config(point).batch_max, self.seed, self.replicates)

    def reseeded(self, seed: int) -> OperatingProblem:
        """The same problem with other workload seeds."""
        return OperatingProblem(self.heuristic, self.benchmarks, self.profile, self.space, self.objective,
                                self.threshold, seed, self.replicates, self.source)

    def run(self, contender: Contender, point: Point) -> list[CompiledRun]:
        """Every workload of the point under one contender."""
        bound = self.bound(contender, point)
        return [simulate_compiled(bound, workload) for workload in self.workloads(point)]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The dimensions of the space."""
        return self.space.dimensions

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """A point from the declared distribution."""
        return self.space.draw(rng)

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """A nearby point."""
        return self.space.moved(point, rng, width)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """Objectives of heuristic and benchmarks at `point`, summed over the replicates."""
        workloads = self.workloads(point)

        def total(contender: Contender) -> int:
            bound = self.bound(contender, point)
            return sum(int(simulate_compiled(bound, workload).objective(self.objective)) for workload in workloads)

        values = {contender.name: total(contender) for contender in self.benchmarks}
        best = min(values.values())
        return Sample(index, "operating", origin, dict(point), self.features(point), total(self.heuristic), best, best,
                      values)

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit of a dimension."""
        return self.source.meanings.get(feature, (feature, ""))

