"""Fresh inputs of the declared distribution, and which features are numbers everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Sample
from xplain.search import Budget
from xplain.search.budget import Meter
from xplain.search.evaluation import Evaluator
from xplain.search.random_search import BATCH, STREAMS

PATIENCE = 10  # draws per feasible input wanted, at most


def fresh_samples(problem: Problem, seed: int, wanted: int, seconds: float | None, jobs: int,
                  tell: Callable[[str], None]) -> tuple[Sample, ...]:
    """Draws until `wanted` of them are feasible, PATIENCE times as many are drawn, or the seconds have passed.

    Draws have streams of their own, apart from those of the search: neither `jobs` nor its budget changes them.
    """
    meter = Meter(Budget(PATIENCE * wanted, seconds))
    found = list[Sample]()
    feasible = 0
    with Evaluator(problem, meter, jobs) as evaluator:
        while feasible < wanted and meter.allowed(1):
            points = [problem.draw(np.random.default_rng((seed, STREAMS["held-out"], len(found) + k)))
                      for k in range(BATCH)]
            batch = [sample for sample in evaluator.evaluate(points, len(found), "held-out") if sample is not None]
            for sample in batch:
                if feasible < wanted:
                    found.append(sample)
                    feasible += sample.feasible
            tell(f"held-out: {feasible} of {wanted} fresh feasible inputs ({len(found)} drawn)")
    return tuple(found)


@dataclass(frozen=True)
class Usable:
    """Samples with the features that are finite numbers in all of them; `dropped`: the others, `of` samples."""

    samples: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    dropped: dict[str, int]
    of: int


def usable(samples: Sequence[Sample], held_out: Sequence[Sample]) -> Usable:
    """Feasible samples only, without features that are missing or no finite number somewhere."""
    searched = [sample for sample in samples if sample.feasible]
    fresh = [sample for sample in held_out if sample.feasible]
    both = [*searched, *fresh]
    names = dict.fromkeys(name for sample in both for name in sample.features)
    dropped = {name: bad for name in names
               if (bad := sum(not math.isfinite(sample.features.get(name, math.nan)) for sample in both))}

    def kept(group: Iterable[Sample]) -> tuple[Sample, ...]:
        if not dropped:
            return tuple(group)
        return tuple(replace(sample, features={name: value for name, value in sample.features.items()
                                               if name not in dropped}) for sample in group)

    return Usable(kept(searched), kept(fresh), dropped, len(both))
