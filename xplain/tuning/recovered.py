"""How much of the tuning gap is recovered: against the best single setting that an independent search finds.

Independent: other workloads, another seed, all parameters, no floor, and the mean alone as its aim, which is what the
recovered share is measured in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from drex_runtime.records.numbers import number_text
from xplain.problems.operating import Contender, OperatingProblem
from xplain.tuning.held_out import fresh_seeds, slices
from xplain.tuning.optimise import Effort, Progress, explore
from xplain.tuning.prepared import prepared
from xplain.tuning.ranges import search_ranges
from xplain.tuning.trials import Trials

OTHER_SEED, OTHER_WORKLOADS = 31, 611_953
SMALLEST = 0.005  # of the relative gap: a smaller tuning gap is none


@dataclass(frozen=True)
class Recovery:
    """Share recovered (None: no gap to recover), mean gap of the best setting known, and how it was found."""

    share: float | None
    best: float
    text: str


def independent_best(problem: OperatingProblem, points: int, effort: Effort, seed: int, jobs: int,
                     progress: Progress = lambda _: None) -> tuple[dict[str, Fraction], int]:
    """The setting with the least mean gap over fresh points of the whole space that an own search finds, and how many
    settings it tried."""
    other, rng = problem.reseeded(problem.seed + OTHER_WORKLOADS), np.random.default_rng([seed, OTHER_WORKLOADS])
    training = [prepared(other, other.draw(rng), "benign", tokens=0) for _ in range(points)]
    trials = Trials(problem, training, jobs=jobs, tail_weight=0.0, floor=0.0)
    policy, largest = problem.heuristic.policy, int(problem.space.dimension("num_seqs").high)
    bound = problem.bound(problem.heuristic, {"num_seqs": largest})
    ranges = search_ranges(policy, tuple(item.name for item in policy.parameters), bound, largest)
    trials.score({})
    explore(trials, ranges, bound.values, effort, seed + OTHER_SEED, lambda text: progress(f"independent {text}"))
    return trials.best(), len(trials)


def recovery(problem: OperatingProblem, before: float, after: float, best: dict[str, Fraction], tried: int,
             points: int, seed: int, jobs: int) -> Recovery:
    """`before`, `after`: mean gaps on the held-out points of the whole space, on which `best` is run too."""
    settings = {**problem.heuristic.settings, **{name: number_text(value) for name, value in best.items()}}
    contender = replace(problem.heuristic, name="independent", settings=settings)
    found = mean_gap(problem, contender, points, seed, jobs)
    reached = min(found, after)
    text = (f"an independent search over {tried} settings of all parameters reaches a held-out mean gap of "
            f"{found:+.1%}")
    if before - reached < SMALLEST:
        return Recovery(None, reached, f"{text}: no tuning gap to recover")
    return Recovery((before - after) / (before - reached), reached, text)


def mean_gap(problem: OperatingProblem, contender: Contender, points: int, seed: int, jobs: int) -> float:
    """Mean relative gap over the held-out points of the whole space (those of `held_out`)."""
    fresh = fresh_seeds(problem)
    drawn = slices(fresh, (), points, seed)["whole space"]
    held = [prepared(fresh, point, "held-out", tokens=0) for point in drawn]
    gaps = Trials(replace_heuristic(fresh, contender), held, jobs=jobs, tail_weight=0.0, floor=0.0)
    return gaps.score({})


def replace_heuristic(problem: OperatingProblem, contender: Contender) -> OperatingProblem:
    """The same problem for another contender."""
    return OperatingProblem(contender, problem.benchmarks, problem.profile, problem.space, problem.objective,
                            problem.threshold, problem.seed, problem.replicates, problem.source)
