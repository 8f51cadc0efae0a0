"""The default search: unbiased random samples first, then annealing from the best of them."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import InputError
from xplain.problems.interface import Problem
from xplain.records import Sample, SearchTrace
from xplain.search.annealing import annealing
from xplain.search.budget import Budget
from xplain.search.progress import Progress
from xplain.search.random_search import random_search

RANDOM_SHARE = 0.5


@dataclass(frozen=True)
class SearchOutcome:
    """All samples, indices rising; the traces share one axis of time. `reproducible`: by the seed alone."""

    samples: tuple[Sample, ...]
    traces: tuple[SearchTrace, ...]
    reproducible: bool

    @property
    def random(self) -> tuple[Sample, ...]:
        """The samples of the declared distribution."""
        return tuple(sample for sample in self.samples if sample.origin == "random")

    @property
    def worst(self) -> Sample:
        """The sample with the largest relative gap, the earliest of equals."""
        return max(self.samples, key=lambda sample: (sample.relative_gap, -sample.index))


def portfolio(problem: Problem, budget: Budget, seed: int, *, jobs: int = 1, random_share: float = RANDOM_SHARE,
              first_index: int = 0, progress: Progress | None = None) -> SearchOutcome:
    """Spend `random_share` of the budget on random samples (origin "random"), the rest on annealing.

    Bounded by evaluations, the outcome (but for times) is a function of the problem and the seed; `jobs` does not
    matter. Bounded by seconds, how far the search gets depends on the machine: `reproducible` is False.
    """
    if not 0 < random_share <= 1:
        raise InputError("search", "random_share", random_share, "more than 0, at most 1")
    drawn, random_trace = random_search(problem, seed, budget.share(random_share), jobs=jobs,
                                        first_index=first_index, progress=progress)
    left = 1 - random_share
    if left <= 0 or not drawn or (budget.evaluations is not None and budget.evaluations <= len(drawn)):
        return SearchOutcome(drawn, (random_trace,), budget.reproducible)
    rest = Budget(None if budget.evaluations is None else budget.evaluations - len(drawn),
                  None if budget.seconds is None else max(budget.seconds - random_trace.seconds, 1e-3))
    annealed, annealing_trace = annealing(problem, drawn, seed, rest, jobs=jobs, elapsed=random_trace.seconds,
                                          progress=progress)
    return SearchOutcome(drawn + annealed, (random_trace, annealing_trace), budget.reproducible)
