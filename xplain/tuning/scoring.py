"""How good a setting is: relative gaps to the benchmark, mean and tail mixed, and a floor under its throughput.

Tail: CVaR, the mean of the worst quarter. Source: Rockafellar and Uryasev 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Sample

TAIL_WEIGHT = 0.5
TAIL = 0.25
FLOOR = 0.98  # of the throughput of `no-exit` at equal N
# A throughput over ENOUGH_TOKENS per place scatters by about 1 %, so training points may fall SLACK below the floor and
# a point is suspect within SUSPECT above it. Suspects of a challenge, and on held-out workloads, are measured again on
# other workloads over LONG_TOKENS (some 0.5 %); there the floor counts, in training with a MARGIN.
SLACK, SUSPECT, MARGIN = 0.01, 0.01, 0.001
ENOUGH_TOKENS, LONG_TOKENS = 400, 2000


def mean_and_tail(gaps: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean, and mean of the worst quarter (CVaR)."""
    ordered = np.sort(np.asarray(gaps, dtype=float))[::-1]
    return float(ordered.mean()), float(ordered[:max(1, ceil(TAIL * len(ordered)))].mean())


def mixed(mean: float, tail: float, tail_weight: float = TAIL_WEIGHT) -> float:
    """What is minimised."""
    return (1 - tail_weight) * mean + tail_weight * tail


def score(gaps: Sequence[float], tail_weight: float = TAIL_WEIGHT) -> float:
    """Mean and tail of these gaps, mixed."""
    return mixed(*mean_and_tail(gaps), tail_weight)


def relative_gaps(problem: OperatingProblem, contender: Contender, points: Sequence[Sample], jobs: int) -> list[float]:
    """Relative gap of `contender` to the recorded benchmark at each point."""
    def one(sample: Sample) -> float:
        value = sum(int(run.objective(problem.objective)) for run in problem.run(contender, sample.point))
        return (value - sample.upper) / (sample.per or sample.upper)

    if jobs == 1:
        return [one(sample) for sample in points]
    found: list[float] = Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(sample) for sample in points)
    return found
