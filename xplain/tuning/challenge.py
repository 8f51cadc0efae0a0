"""Workloads sought against a candidate: those on which it falls below the floor join the training workloads.

Fresh points of the declared distribution with workload seeds of their own, then neighbours of the point where the
throughput is least. Source: counterexample-guided synthesis, Solar-Lezama 2008.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xplain.problems.operating import OperatingProblem
from xplain.records import Point
from xplain.tuning.prepared import PreparedPoint, prepared
from xplain.tuning.scoring import ENOUGH_TOKENS, LONG_TOKENS, MARGIN, SUSPECT
from xplain.tuning.trials import Trials, Values

WIDTH = 0.15  # of a dimension's range
CONFIRMED, TAKEN = 4, 2  # suspects measured again, and counter-examples added, at most
SEEDS_APART, CONFIRMING = 15_485_867, 7_368_787


def counterexamples(trials: Trials, candidate: Values, number: int, seed: int, fresh: int) -> list[PreparedPoint]:
    """Points where `candidate` falls below the floor, the worst first; `number` counts the challenges of a tuning,
    `fresh` points of the declared distribution are looked at and half as many neighbours of the worst.

    Of many points some seem to fall below it by chance, so suspects are measured again, on other workloads and longer;
    what is returned are those workloads.
    """
    problem = trials.problem.reseeded(trials.problem.seed + SEEDS_APART + number)
    other = problem.reseeded(problem.seed + CONFIRMING)
    rng = np.random.default_rng([seed, 179_424_673, number])
    drawn = [problem.draw(rng) for _ in range(fresh)]
    ratios = _ratios(trials, problem, candidate, drawn, ENOUGH_TOKENS)
    nearest = drawn[min(range(fresh), key=lambda k: ratios[k][0])]
    moved = [problem.neighbour(nearest, rng, WIDTH) for _ in range(fresh // 2)]
    ratios += _ratios(trials, problem, candidate, moved, ENOUGH_TOKENS)
    order = sorted(range(len(ratios)), key=lambda k: ratios[k][0])
    suspects = [(*drawn, *moved)[k] for k in order if ratios[k][0] < trials.floor + SUSPECT][:CONFIRMED]
    confirmed = sorted(_ratios(trials, other, candidate, suspects, LONG_TOKENS), key=lambda item: item[0])
    return [point for ratio, point in confirmed if ratio < trials.floor + MARGIN][:TAKEN]


def _ratios(trials: Trials, problem: OperatingProblem, candidate: Values, points: Sequence[Point],
            tokens: int) -> list[tuple[float, PreparedPoint]]:
    made = [prepared(problem, point, "challenge", tokens=tokens) for point in points]
    return list(zip(trials.ratios(candidate, made), made, strict=True))
