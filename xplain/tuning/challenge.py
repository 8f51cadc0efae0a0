"""Workloads sought against a candidate: those on which it falls below the floor join the training workloads.

Fresh points of the declared distribution with workload seeds of their own, then neighbours of the point where the
throughput is least. Source: counterexample-guided synthesis, Solar-Lezama 2008.
"""

from __future__ import annotations

import numpy as np

from xplain.problems.operating import OperatingProblem
from xplain.records import Point
from xplain.tuning.prepared import PreparedPoint, prepared
from xplain.tuning.trials import Trials, Values

FRESH, NEIGHBOURS = 40, 16
WIDTH = 0.15  # of a dimension's range
TAKEN = 4  # counter-examples a challenge adds at most
SEEDS_APART = 15_485_867


def counterexamples(trials: Trials, candidate: Values, number: int, seed: int) -> list[PreparedPoint]:
    """Points where `candidate` falls below the floor, the worst first; `number` counts the challenges of a tuning."""
    problem = trials.problem.reseeded(trials.problem.seed + SEEDS_APART + number)
    rng = np.random.default_rng([seed, 179_424_673, number])
    drawn: list[Point] = [problem.draw(rng) for _ in range(FRESH)]
    found = _ratios(trials, problem, candidate, drawn)
    nearest = drawn[min(range(len(found)), key=lambda k: found[k][0])]
    found += _ratios(trials, problem, candidate, [problem.neighbour(nearest, rng, WIDTH) for _ in range(NEIGHBOURS)])
    below = sorted((item for item in found if item[0] < trials.floor), key=lambda item: item[0])
    return [point for _, point in below[:TAKEN]]


def _ratios(trials: Trials, problem: OperatingProblem, candidate: Values,
            points: list[Point]) -> list[tuple[float, PreparedPoint]]:
    made = [prepared(problem, point, "challenge") for point in points]
    return list(zip(trials.ratios(candidate, made), made, strict=True))
