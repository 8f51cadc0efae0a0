"""The held-out check: before and after on points and workload seeds that no search has seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.stats import t as student_t

from drex_runtime.policies import shipped_policy
from drex_runtime.simulator.arrays import compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled
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
    def one(point: dict[str, float]) -> tuple[float, ...]:
        workloads = [compiled_workload(workload) for workload in problem.workloads(point)]

        def ran(contender: Contender) -> tuple[int, list[int]]:
            program = compiled_policy(problem.bound(contender, point))
            runs = [simulate_compiled(program, workload) for workload in workloads]
            return sum(int(run.objective(problem.objective)) for run in runs), [run.makespan for run in runs]

        best = min(ran(contender)[0] for contender in problem.benchmarks)
        (before, spans_before), (after, spans_after), (_, spans) = map(ran, (problem.heuristic, tuned, REFERENCE))
        least = [min(full / own for full, own in zip(spans, each, strict=True)) for each in (spans_before, spans_after)]
        return (before / best - 1, after / best - 1, sum(spans) / sum(spans_before), sum(spans) / sum(spans_after),
                *least)

    rows = np.array(Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(point) for point in points))
    before, after, ratio_before, ratio_after, least_before, least_after = rows.T
    low, high = _interval(after)
    change_low, change_high = _interval(after - before)
    return Comparison(name, len(points) * problem.replicates, float(before.mean()), float(after.mean()), low, high,
                      float(before.max()), float(after.max()), float(ratio_before.mean()), float(ratio_after.mean()),
                      float(least_after.min()), float(least_before.min()), change_low, change_high)


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean over points."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean
    half = float(student_t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / sqrt(len(values))
    return mean - half, mean + half
