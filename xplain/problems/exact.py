"""EE scheduling at exact scale: every depth and arrival free, the clairvoyant optimum as the benchmark.

Declared distribution: n requests of T tokens without prompts, arrivals on a grid of one shallow pass. Methods that seek
large gaps may also leave requests out and shorten them: at most n requests of 1 to T tokens. Small enough that the
exact search proves the optimum; where it runs into its limit the sample carries an interval.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from drex_runtime.policies import bind
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.encodings.exact import CostToGo, Limits, solve
from xplain.problems.exact_features import FEATURES
from xplain.problems.operating import Contender
from xplain.problems.structural import Shape, moved, point_of, requests_of
from xplain.records import Dimension, Origin, Point, Sample, Scale

ARRIVAL_STEPS = 4
# Beside the features that solvers read too (`exact_features`) those of workloads that may be smaller than n x T.
MEANINGS = {"requests": ("number of requests", ""), "tokens": ("tokens of all requests together", "tokens"),
            **{feature.name: (feature.meaning, feature.unit) for feature in FEATURES.values()}}


class ExactProblem:
    """The heuristic against the clairvoyant optimum on workloads of at most n x T.

    `resize` off: only workloads of exactly n x T are sought. N = n for all of them.
    """

    scale: Scale = "exact"

    def __init__(self, heuristic: Contender, profile: CostProfile, objective: Objective, threshold: float, *,
                 requests: int, tokens: int, arrival_steps: int = ARRIVAL_STEPS, limits: Limits | None = None,
                 resize: bool = True) -> None:
        self.heuristic, self.profile, self.objective, self.threshold = heuristic, profile, objective, threshold
        self.shape = Shape(requests, tokens, profile.num_segments, arrival_steps, resize)
        self.limits = limits or Limits(seconds=1.0)
        rows = min(requests, profile.max_rows)
        self.config = ServerConfig(rows, requests)
        self.bound = bind(heuristic.policy, profile, self.config, heuristic.settings)
        self.grid = profile.segment_cost(1, 1, 0)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Arrival steps, lengths (the first request is always there), depths."""
        shape, whole = self.shape, range(self.shape.requests)
        shortest = 1 if shape.resize else shape.tokens
        return (*(Dimension(f"a{i}", 0, shape.arrival_steps, integer=True) for i in whole),
                *(Dimension(f"l{i}", 0 if i and shape.resize else shortest, shape.tokens, integer=True) for i in whole),
                *(Dimension(f"d{i}.{t}", 1, shape.num_segments, integer=True) for i in whole
                  for t in range(shape.tokens)))

    @property
    def arrivals(self) -> tuple[int, ...]:
        """Arrival times of the grid, in ticks."""
        return tuple(step * self.grid for step in range(self.shape.arrival_steps + 1))

    def workload(self, point: Point) -> Workload:
        """The workload a point stands for; requests are numbered in order of arrival."""
        ordered = sorted(requests_of(point, self.shape), key=lambda request: request.arrival)
        requests = [Request(number, each.arrival * self.grid, 0, tuple(each.depths))
                    for number, each in enumerate(ordered)]
        return Workload.of(self.profile.num_segments, requests, tick=self.profile.tick, name="exact scale",
                           source=f"at most {self.shape.requests} x {self.shape.tokens}, arrivals in steps of "
                                  f"{self.grid} ticks")

    def cost_to_go(self, workload: Workload) -> CostToGo:
        """V* of any state of this workload."""
        return CostToGo(workload, self.profile, self.config, self.objective, limits=self.limits)

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """n x T; exit share uniform in [0, 1], then independent depths; half of the workloads all at 0."""
        shape, share, ramps = self.shape, rng.random(), self.shape.num_segments - 1
        open_arrivals = rng.random() < 0.5
        point = {f"a{i}": float(rng.integers(0, shape.arrival_steps + 1)) if open_arrivals else 0.0
                 for i in range(shape.requests)}
        point |= {f"l{i}": float(shape.tokens) for i in range(shape.requests)}
        for i in range(shape.requests):
            for t in range(shape.tokens):
                early = ramps > 0 and rng.random() < share
                point[f"d{i}.{t}"] = float(rng.integers(1, ramps + 1) if early else ramps + 1)
        return point

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """One structural move, several if `width` is large."""
        return moved(point, self.shape, rng, 1 + int(rng.integers(0, max(1, round(width * self.shape.tokens)) + 1)))

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """Heuristic by simulation, optimum by exact search (interval if it hits its limit)."""
        point = point_of(requests_of(point, self.shape), self.shape)
        workload = self.workload(point)
        heuristic = int(simulate_compiled(self.bound, workload).objective(self.objective))
        interval = solve(workload, self.profile, self.config, self.objective, limits=self.limits).interval
        # The heuristic's own schedule is feasible for the clairvoyant: a search cut short may not know it.
        upper = min(interval.upper, heuristic) if self.heuristic.policy.keeps_exits_voluntary else interval.upper
        return Sample(index, "exact", origin, point, self.features(point), heuristic, interval.lower, upper,
                      {"clairvoyant": upper})

    def features(self, point: Point) -> dict[str, float]:
        """What regions at exact scale are read over: those of `exact_features`, here also where requests have different
        lengths (equal where both are defined: tested), and the size."""
        requests = requests_of(point, self.shape)
        early = [[float(depth < self.shape.num_segments) for depth in each.depths] for each in requests]
        longest = max(map(len, early))
        shares = [float(np.mean([row[t] for row in early if t < len(row)])) for t in range(longest)]
        disagreement = [4 * share * (1 - share) for share in shares]
        changes = [abs(one - other) for row in early for one, other in pairwise(row)]
        deep = [len(row) - sum(row) for row in early]
        total = sum(map(len, early))
        so_far = [[sum(row[:t]) for row in early] for t in range(1, longest + 1)]
        return {"requests": float(len(requests)), "tokens": float(total), "exit_share": sum(map(sum, early)) / total,
                "spread": float(np.mean(disagreement)), "changes": float(np.mean(changes)) if changes else 0.0,
                "deep_spread": max(deep) - min(deep), "phase_offset": max(max(each) - min(each) for each in so_far),
                "fewest_exits": min(map(sum, early)),
                "last_arrival": float(max(each.arrival for each in requests)), "first_disagreement": disagreement[0]}

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit of a feature."""
        return MEANINGS.get(feature, (feature, ""))
