"""EE scheduling at exact scale: every depth and arrival free, the clairvoyant optimum as the benchmark.

n requests of T tokens without prompts; arrivals on a grid of one shallow pass. Small enough that the exact search
proves the optimum; where it runs into its limit the sample carries an interval.
"""

from __future__ import annotations

import numpy as np

from drex_runtime.policies import bind
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.encodings.certificates.counted import Counted
from xplain.encodings.certificates.features import Shape
from xplain.encodings.exact import CostToGo, Limits, solve
from xplain.problems.exact_features import FEATURES
from xplain.problems.operating import Contender
from xplain.records import Origin, Point, Sample, Scale


class ExactProblem:
    """The heuristic against the clairvoyant optimum on n x T workloads."""

    scale: Scale = "exact"

    def __init__(self, heuristic: Contender, profile: CostProfile, objective: Objective, threshold: float, *,
                 requests: int, tokens: int, arrival_steps: int = 4, limits: Limits | None = None) -> None:
        self.heuristic, self.profile, self.objective, self.threshold = heuristic, profile, objective, threshold
        self.requests, self.tokens, self.arrival_steps = requests, tokens, arrival_steps
        self.limits = limits or Limits(seconds=1.0)
        rows = min(requests, profile.max_rows)
        self.config = ServerConfig(rows, requests)
        self.bound = bind(heuristic.policy, profile, self.config, heuristic.settings)
        self.grid = profile.segment_cost(1, 1, 0)

    def keys(self) -> list[str]:
        """Names of the free inputs: arrival a<i>, depth d<i>.<t>."""
        depths = [f"d{i}.{t}" for i in range(self.requests) for t in range(self.tokens)]
        return [*(f"a{i}" for i in range(self.requests)), *depths]

    def workload(self, point: Point) -> Workload:
        """The workload a point stands for."""
        requests = [Request(i, int(point[f"a{i}"]) * self.grid, 0,
                            tuple(int(point[f"d{i}.{t}"]) for t in range(self.tokens))) for i in range(self.requests)]
        return Workload.of(self.profile.num_segments, requests, tick=self.profile.tick, name="exact scale",
                           source=f"{self.requests} x {self.tokens}, arrivals in steps of {self.grid} ticks")

    def cost_to_go(self, workload: Workload) -> CostToGo:
        """V* of any state of this workload."""
        return CostToGo(workload, self.profile, self.config, self.objective, limits=self.limits)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Exit share uniform in [0, 1], then independent depths; half of the workloads all at 0."""
        share, ramps = rng.random(), self.profile.num_segments - 1
        open_arrivals = rng.random() < 0.5
        point = {f"a{i}": float(rng.integers(0, self.arrival_steps + 1)) if open_arrivals else 0.0
                 for i in range(self.requests)}
        for i in range(self.requests):
            for t in range(self.tokens):
                early = ramps > 0 and rng.random() < share
                point[f"d{i}.{t}"] = float(rng.integers(1, ramps + 1) if early else ramps + 1)
        return point

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """Structural moves: flip depths, shift an arrival, copy one request's depths to another."""
        moved = dict(point)
        for _ in range(1 + int(rng.integers(0, max(1, round(width * self.tokens)) + 1))):
            kind, i = rng.random(), int(rng.integers(self.requests))
            if kind < 0.7:
                key = f"d{i}.{int(rng.integers(self.tokens))}"
                moved[key] = float(rng.integers(1, self.profile.num_segments + 1))
            elif kind < 0.9:
                moved[f"a{i}"] = float(rng.integers(0, self.arrival_steps + 1))
            else:
                j = int(rng.integers(self.requests))
                for t in range(self.tokens):
                    moved[f"d{i}.{t}"] = moved[f"d{j}.{t}"]
        return moved

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """Heuristic by simulation, optimum by exact search (interval if it hits its limit)."""
        workload = self.workload(point)
        heuristic = int(simulate_compiled(self.bound, workload).objective(self.objective))
        interval = solve(workload, self.profile, self.config, self.objective, limits=self.limits).interval
        # The heuristic's own schedule is feasible for the clairvoyant: a search cut short may not know it.
        upper = min(interval.upper, heuristic) if self.heuristic.policy.keeps_exits_voluntary else interval.upper
        return Sample(index, "exact", origin, dict(point), self.features(point), heuristic, interval.lower, upper,
                      {"clairvoyant": upper})

    def features(self, point: Point) -> dict[str, float]:
        """What regions at exact scale are read over."""
        depths = np.array([[[int(point[f"d{i}.{t}"]) for t in range(self.tokens)] for i in range(self.requests)]])
        arrivals = np.array([[int(point[f"a{i}"]) * self.grid for i in range(self.requests)]], np.int64)
        counted = Counted(depths, arrivals, Shape(self.requests, self.tokens, self.profile.num_segments, self.grid))
        return {name: float(counted.values(feature)[0]) for name, feature in FEATURES.items()}

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit of a feature."""
        known = FEATURES.get(feature)
        return (feature, "") if known is None else (known.meaning, known.unit)
