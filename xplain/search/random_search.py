"""Independent samples from the declared distribution: the only ones from which shares may be estimated."""

from __future__ import annotations

import numpy as np

from xplain.problems.interface import Problem
from xplain.records import Origin, Sample, SearchTrace
from xplain.search.budget import Budget, Meter
from xplain.search.evaluation import Evaluator
from xplain.search.progress import Progress, Recorder

BATCH = 32
STREAMS: dict[Origin, int] = {"random": 0, "held-out": 1}


def random_search(problem: Problem, seed: int, budget: Budget, *, jobs: int = 1, origin: Origin = "random",
                  first_index: int = 0, progress: Progress | None = None) -> tuple[tuple[Sample, ...], SearchTrace]:
    """Draw and evaluate until the budget is spent.

    Every sample has its own random stream (seed, origin, number), so that a larger budget continues a smaller one
    and neither `jobs` nor the batches change what is drawn. With origin `held-out` the points are fresh ones.
    """
    meter = Meter(budget)
    recorder = Recorder(origin, problem.scale)
    samples: list[Sample] = []
    number = 0
    with Evaluator(problem, meter, jobs) as evaluator:
        while meter.allowed(1):
            points = [problem.draw(np.random.default_rng((seed, STREAMS[origin], number + k))) for k in range(BATCH)]
            # A point that was not started ends the search: skipping it would bias the samples towards fast inputs.
            batch = evaluator.evaluate(points, first_index + number, origin)
            found = [sample for sample in batch if sample is not None]
            number += BATCH
            recorder.add(found, took=meter.seconds - recorder.seconds, seconds=meter.seconds, evaluations=len(samples))
            samples += found
            if progress is not None:
                progress(origin, meter.spent, meter.evaluations, recorder.best)
    return tuple(samples), recorder.trace()
