"""How good a setting is: relative gaps to the recorded benchmark on training points, mean and tail mixed."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from joblib import Parallel, delayed

from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Sample

TAIL_WEIGHT = 0.5
TAIL = 0.25


def score(gaps: Sequence[float], tail_weight: float = TAIL_WEIGHT) -> float:
    """(1 - tail_weight) * mean + tail_weight * mean of the worst quarter (CVaR)."""
    ordered = np.sort(np.asarray(gaps, dtype=float))[::-1]
    tail = ordered[:max(1, ceil(TAIL * len(ordered)))]
    return float((1 - tail_weight) * ordered.mean() + tail_weight * tail.mean())


def relative_gaps(problem: OperatingProblem, contender: Contender, points: Sequence[Sample], jobs: int) -> list[float]:
    """Relative gap of `contender` to the recorded benchmark at each point."""
    def one(sample: Sample) -> float:
        value = sum(int(run.objective(problem.objective)) for run in problem.run(contender, sample.point))
        return (value - sample.upper) / (sample.per or sample.upper)

    if jobs == 1:
        return [one(sample) for sample in points]
    found: list[float] = Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(sample) for sample in points)
    return found
