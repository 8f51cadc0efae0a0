"""The held-out check: before and after on points and workload seeds that no search has seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from joblib import Parallel, delayed

from drex_runtime.policies import shipped_policy
from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Comparison, Region

REFERENCE = Contender("no-exit", shipped_policy("no-exit"))
DRAWS_PER_POINT = 200  # tries to hit a region by drawing from the declared distribution


def held_out(problem: OperatingProblem, tuned: Contender, regions: Sequence[Region], *, points: int, seed: int,
             jobs: int) -> tuple[Comparison, ...]:
    """Fresh points of the whole space and inside each region (left out where none could be drawn)."""
    fresh = fresh_seeds(problem)
    found = []
    for name, drawn in slices(fresh, regions, points, seed).items():
        if drawn:
            found.append(_compared(fresh, tuned, name, drawn, jobs))
    return tuple(found)


def fresh_seeds(problem: OperatingProblem) -> OperatingProblem:
    """The same problem with workload seeds that search and tuning do not use."""
    return problem.reseeded(problem.seed + 7919)


def slices(problem: OperatingProblem, regions: Sequence[Region], points: int,
           seed: int) -> dict[str, list[dict[str, float]]]:
    """Up to `points` fresh points per slice: "whole space" and each region."""
    rng = np.random.default_rng([seed, 104729])
    found = {"whole space": [problem.draw(rng) for _ in range(points)]}
    for region in regions:
        drawn = (problem.draw(rng) for _ in range(DRAWS_PER_POINT * points))
        inside = (point for point in drawn if region.holds(problem.features(point)))
        found[region.name] = [point for point, _ in zip(inside, range(points), strict=False)]
    return found


def _compared(problem: OperatingProblem, tuned: Contender, name: str, points: Sequence[dict[str, float]],
              jobs: int) -> Comparison:
    def one(point: dict[str, float]) -> tuple[float, float, float, float]:
        def totals(contender: Contender) -> tuple[int, int]:
            runs = problem.run(contender, point)
            return sum(int(run.objective(problem.objective)) for run in runs), sum(run.makespan for run in runs)

        best = min(problem.benchmark_values(point).values())
        (before, span_before), (after, span_after) = totals(problem.heuristic), totals(tuned)
        reference = totals(REFERENCE)[1]
        by = problem.relative_to(point, best)
        return (before - best) / by, (after - best) / by, reference / span_before, reference / span_after

    rows = np.array(Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(point) for point in points))
    before, after, ratio_before, ratio_after = rows.T
    half = 1.96 * float(after.std(ddof=1)) / sqrt(len(after)) if len(after) > 1 else 0.0
    mean = float(after.mean())
    return Comparison(name, len(points) * problem.replicates, float(before.mean()), mean, mean - half, mean + half,
                      float(before.max()), float(after.max()), float(ratio_before.mean()), float(ratio_after.mean()),
                      float(ratio_after.min()))
