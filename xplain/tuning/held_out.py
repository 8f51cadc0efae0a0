"""The held-out check: before and after on points and workload seeds that no search has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.stats import t as student_t

from drex_runtime.simulator.arrays import compiled_policy
from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Comparison, Region
from xplain.tuning.prepared import Outcome, prepared
from xplain.tuning.scoring import FLOOR, LONG_TOKENS, SUSPECT

CONFIRMED, CONFIRMING = 12, 2_750_159  # suspects measured again, the worst first; what their seeds are apart
Result = TypeVar("Result")
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
    """Points whose throughput is suspect are measured again, longer and on other workloads: the least of many short
    runs is the noise of the least."""
    def one(point: dict[str, float]) -> tuple[int, Outcome, Outcome]:
        made = prepared(problem, point, "held-out")
        before, after = (made.run(compiled_policy(problem.bound(item, point))) for item in (problem.heuristic, tuned))
        return len(made.workloads), before, after

    def again(point: dict[str, float]) -> float:
        made = prepared(other, point, "held-out", tokens=LONG_TOKENS)
        return made.run(compiled_policy(other.bound(tuned, point))).least

    def over(function: Callable[[dict[str, float]], Result], chosen: Sequence[dict[str, float]]) -> list[Result]:
        return list(Parallel(n_jobs=jobs, prefer="threads")(delayed(function)(point) for point in chosen))

    rows, other = over(one, points), problem.reseeded(problem.seed + CONFIRMING)
    order = sorted(range(len(points)), key=lambda k: rows[k][2].least)
    suspects = [k for k in order if rows[k][2].least < FLOOR + SUSPECT][:CONFIRMED]
    least = [*over(again, [points[k] for k in suspects]), *(rows[k][2].least for k in order[len(suspects):])]
    before, after = (np.array([(item.gap, item.ratio, item.least) for item in outcomes])
                     for outcomes in ([row[1] for row in rows], [row[2] for row in rows]))
    low, high = _interval(after[:, 0])
    change_low, change_high = _interval(after[:, 0] - before[:, 0])
    return Comparison(name, sum(row[0] for row in rows), float(before[:, 0].mean()), float(after[:, 0].mean()), low,
                      high, float(before[:, 0].max()), float(after[:, 0].max()), float(before[:, 1].mean()),
                      float(after[:, 1].mean()), min(least), float(before[:, 2].min()), change_low, change_high,
                      float(after[:, 2].min()))


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean over points."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean
    half = float(student_t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / sqrt(len(values))
    return mean - half, mean + half
