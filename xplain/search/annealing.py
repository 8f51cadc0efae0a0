"""Simulated annealing over inputs: several chains in step, restarted from shared incumbents.

Maximises the relative gap. Accepts a worse input with probability exp(difference / temperature); temperature and
step width fall geometrically within each restart. Source: Kirkpatrick, Gelatt and Vecchi (1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import InputError
from xplain.problems.interface import Problem
from xplain.records import Origin, Sample, SearchTrace
from xplain.search.budget import Budget, Meter
from xplain.search.evaluation import Evaluator
from xplain.search.progress import Progress, Recorder

STREAM = 2
METHOD: Origin = "annealing"


@dataclass(frozen=True)
class Schedule:
    """How the chains cool. Widths are shares of a dimension's range, temperatures shares of the spread of the gaps.

    `chains` proposals are evaluated as one batch. Of the chains of a restart, `elite` of them start from the best
    inputs known, the others from random picks among the best `pool` share of the starting samples.
    """

    chains: int = 8
    restarts: int = 3
    elite: float = 0.5
    pool: float = 0.25
    width_hot: float = 0.4
    width_cold: float = 0.03
    temperature_hot: float = 0.5
    temperature_cold: float = 0.01
    retries: int = 8

    def width(self, cooled: float) -> float:
        """Step width when a share `cooled` of the restart is over."""
        return _geometric(self.width_hot, self.width_cold, cooled)

    def temperature(self, cooled: float) -> float:
        """Temperature relative to the spread of the gaps."""
        return _geometric(self.temperature_hot, self.temperature_cold, cooled)


def annealing(problem: Problem, start: Sequence[Sample], seed: int, budget: Budget, *, jobs: int = 1,
              schedule: Schedule | None = None, first_index: int | None = None, elapsed: float = 0.0,
              progress: Progress | None = None) -> tuple[tuple[Sample, ...], SearchTrace]:
    """Anneal from `start` (at least one sample) until the budget is spent; the start samples are not returned.

    `elapsed` = seconds spent before, so that the trace continues the one of the search that made `start`.
    Inputs are returned in the order of evaluation; they are biased towards large gaps.
    """
    if not start:
        raise InputError(METHOD, "start", "no samples", "at least one evaluated input")
    schedule = schedule or Schedule()
    meter = Meter(budget)
    rng = np.random.default_rng((seed, STREAM))
    recorder = Recorder(METHOD, problem.scale, seconds=elapsed, evaluations=len(start),
                        best=max(sample.relative_gap for sample in start))
    spread = float(np.std([sample.relative_gap for sample in start])) or 0.01
    index = 1 + max(sample.index for sample in start) if first_index is None else first_index
    samples: list[Sample] = []
    current: list[Sample] = []
    restart = -1
    with Evaluator(problem, meter, jobs) as evaluator:
        while meter.allowed(1):
            progressed = meter.spent * schedule.restarts
            if int(progressed) != restart:
                restart = int(progressed)
                current = _starts([*start, *samples], schedule, rng)
            cooled = progressed - restart
            points = [_proposal(problem, sample.point, rng, schedule, cooled) for sample in current]
            draws = rng.random(len(points))
            found = evaluator.evaluate(points, index, METHOD)
            index += len(points)
            scale = schedule.temperature(cooled) * spread
            for chain, sample in enumerate(found):
                if sample is None:
                    continue
                samples.append(sample)
                if np.log(max(draws[chain], 1e-300)) * scale < sample.relative_gap - current[chain].relative_gap:
                    current[chain] = sample
            recorder.add((sample for sample in found if sample is not None), meter.seconds)
            if progress is not None:
                progress(METHOD, meter.spent, meter.evaluations, recorder.best)
    return tuple(samples), recorder.trace()


def _starts(known: Sequence[Sample], schedule: Schedule, rng: np.random.Generator) -> list[Sample]:
    """One start per chain: the best inputs known, each once, then random picks among the good ones."""
    ranked: list[Sample] = []
    seen: set[tuple[float, ...]] = set()
    for sample in sorted(known, key=lambda sample: (-sample.relative_gap, sample.index)):
        place = tuple(sample.point.values())
        if place not in seen:
            seen.add(place)
            ranked.append(sample)
    elite = ranked[:max(1, round(schedule.elite * schedule.chains))]
    pool = ranked[:max(len(elite), round(schedule.pool * len(ranked)))]
    others = rng.integers(0, len(pool), schedule.chains - len(elite))
    return elite + [pool[int(k)] for k in others]


def _proposal(problem: Problem, point: dict[str, float], rng: np.random.Generator, schedule: Schedule,
              cooled: float) -> dict[str, float]:
    """A neighbour that differs from `point`; after `retries` steps that went nowhere, whatever came last."""
    proposal = point
    for _ in range(schedule.retries):
        proposal = problem.neighbour(point, rng, schedule.width(cooled))
        if proposal != point:
            break
    return proposal


def _geometric(hot: float, cold: float, cooled: float) -> float:
    return float(hot * (cold / hot) ** cooled)
