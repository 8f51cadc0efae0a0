"""EE scheduling at operating scale: a policy against benchmark policies on generated workloads.

One evaluation = several seeded workloads at one point; objectives are summed over them, so the gap is that of the
mean. The benchmark is the best of the given policies at the point, all at equal batch_max and N; with `best_params`
also the heuristic's own policy with the best of a fixed set of settings (see `best_params`). Missed due dates are
measured per request: a relative gap of 0.05 is 5 more of 100 requests late.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drex_runtime.errors import PolicyError
from drex_runtime.policies import BoundPolicy, Policy, bind
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.compiled import CompiledRun, simulate_compiled
from xplain.problems.best_params import BEST_PARAMS, design
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
    """`heuristic` against the best of `benchmarks`, and with `best_params` of its own settings, over `space`.

    Thread-safe; evaluations are deterministic.
    """

    scale: Scale = "operating"

    def __init__(self, heuristic: Contender, benchmarks: tuple[Contender, ...], profile: CostProfile, space: Space,
                 objective: Objective, threshold: float, seed: int, replicates: int = 2,
                 source: WorkloadSource | None = None, best_params: bool = False) -> None:
        self.heuristic, self.benchmarks, self.profile = heuristic, benchmarks, profile
        self.space, self.objective, self.threshold = space, objective, threshold
        self.seed, self.replicates, self.source = seed, replicates, source or Generated()
        self.best_params = best_params
        self._lock = threading.Lock()
        self._bound: dict[tuple[int, tuple[tuple[str, str], ...], int], BoundPolicy] = {}
        self._designs: dict[int, tuple[Contender, ...]] = {}

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
                                self.threshold, seed, self.replicates, self.source, self.best_params)

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

        values = self.benchmark_values(point, workloads)
        best = min(values.values())
        per = sum(len(workload.requests) for workload in workloads) if self.objective == "misses" else 0
        return Sample(index, "operating", origin, dict(point), self.features(point),
                      self.total(self.heuristic, point, workloads), best, best, values, per=per)

    def relative_to(self, point: Point, benchmark: int) -> int:
        """What gaps at `point` are divided by: its number of requests for misses (the benchmark may miss none), else
        the benchmark."""
        if self.objective != "misses":
            return benchmark
        return sum(len(workload.requests) for workload in self.workloads(point))

    def total(self, contender: Contender, point: Point, workloads: Sequence[Workload]) -> int:
        """The objective of a contender summed over `workloads` of `point`."""
        bound = self.bound(contender, point)
        return sum(int(simulate_compiled(bound, workload).objective(self.objective)) for workload in workloads)

    def benchmark_values(self, point: Point, workloads: Sequence[Workload] | None = None) -> dict[str, int]:
        """The objective of each benchmark at `point`, over all its workloads or those given."""
        made = self.workloads(point) if workloads is None else workloads
        values = {contender.name: self.total(contender, point, made) for contender in self.benchmarks}
        if self.best_params:
            values[BEST_PARAMS] = self.best_setting(point, made)[1]
        return values

    def best_benchmark(self, sample: Sample) -> Contender:
        """The contender whose value at the sample is the benchmark's (of `best-params`: with the settings)."""
        name = min(sample.benchmarks, key=lambda item: sample.benchmarks[item])
        if name == BEST_PARAMS:
            return self.best_setting(sample.point)[0]
        return next(item for item in self.benchmarks if item.name == name)

    def settings_design(self, point: Point) -> tuple[Contender, ...]:
        """The heuristic's policy with each of the settings that `best-params` tries at the point's N."""
        places = self.config(point).max_num_seqs
        if places not in self._designs:
            own = self.heuristic.settings
            self._designs[places] = tuple(
                replace(self.heuristic, name=BEST_PARAMS, settings={**own, **changed})
                for changed in design(self.bound(self.heuristic, point), self.config(point).batch_max))
        return self._designs[places]

    def best_setting(self, point: Point, workloads: Sequence[Workload] | None = None) -> tuple[Contender, int]:
        """The best of the design over the point's workloads (or those given), and its objective; ties: the first."""
        made = self.workloads(point) if workloads is None else workloads
        found: tuple[Contender, int] | None = None
        for contender in self.settings_design(point):
            try:
                value = self.total(contender, point, made)
            except PolicyError:
                if contender is self.settings_design(point)[0]:
                    raise  # the settings as they are: an error of the policy, not of a design
                continue
            if found is None or value < found[1]:
                found = contender, value
        if found is None:
            raise PolicyError(f"policy {self.heuristic.name}: no settings to try")
        return found

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit of a dimension."""
        return self.source.meanings.get(feature, (feature, ""))

