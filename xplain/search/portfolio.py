"""The search of an analysis: unbiased random samples first, then methods that seek large gaps, taking turns.

One budget, shared incumbents: every sample is known to all methods at once, each starts and restarts from the best
known. The next turn goes to the method that is furthest behind its share, counted in what bounds the budget:
evaluations, or else seconds (a method that thinks long then evaluates less).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drex_runtime.errors import InputError
from xplain.problems.interface import Problem
from xplain.records import Origin, Sample, Scale, SearchTrace
from xplain.search.annealing import Annealing
from xplain.search.budget import Budget, Meter
from xplain.search.cma_es import MINIMUM_DIMENSIONS, CovarianceAdaptation
from xplain.search.evaluation import Evaluator
from xplain.search.hill_climbing import HillClimbing
from xplain.search.incumbents import Incumbents
from xplain.search.method import SearchMethod
from xplain.search.progress import Progress, Recorder
from xplain.search.random_search import random_search
from xplain.search.tpe import TreeParzen

Shares = Mapping[Origin, float]
METHODS: Mapping[Origin, Callable[[Problem, Incumbents, int], SearchMethod]] = {
    "hill-climbing": HillClimbing, "annealing": Annealing, "tpe": TreeParzen, "cma-es": CovarianceAdaptation}
# Half of the samples stay unbiased: regions and shares are estimated from them. What goes to which method is chosen by
# measurement: examples/benchmarks/results/search_methods.md.
DEFAULT_SHARES: Mapping[Scale, Shares] = {
    "operating": {"random": 0.5, "hill-climbing": 0.36, "annealing": 0.06, "tpe": 0.02, "cma-es": 0.06},
    "exact": {"random": 0.5, "hill-climbing": 0.3, "annealing": 0.03, "tpe": 0.05, "cma-es": 0.12}}


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


def portfolio(problem: Problem, budget: Budget, seed: int, *, jobs: int = 1, shares: Shares | None = None,
              first_index: int = 0, progress: Progress | None = None) -> SearchOutcome:
    """Spend `shares` of the budget (default: by the problem's scale) on the methods; "random" comes first.

    Bounded by evaluations, the outcome (but for times) is a function of the problem and the seed; `jobs` does not
    matter. Bounded by seconds, how far the search gets depends on the machine: `reproducible` is False.
    InputError on a share that makes no sense. CMA-ES needs two free dimensions; without them the others have its turns.
    """
    wanted = _checked(DEFAULT_SHARES[problem.scale] if shares is None else shares)
    total = sum(wanted.values())
    drawn, random_trace = random_search(problem, seed, budget.share(wanted["random"] / total), jobs=jobs,
                                        first_index=first_index, progress=progress)
    sought: dict[Origin, float] = {name: share for name, share in wanted.items() if name != "random" and share > 0}
    if sum(not dimension.fixed for dimension in problem.dimensions) < MINIMUM_DIMENSIONS:
        sought.pop("cma-es", None)
    if not sought or not drawn or (budget.evaluations is not None and budget.evaluations <= len(drawn)):
        return SearchOutcome(drawn, (random_trace,), budget.reproducible)
    rest = Budget(None if budget.evaluations is None else budget.evaluations - len(drawn),
                  None if budget.seconds is None else max(budget.seconds - random_trace.seconds, 1e-3))
    found, traces = _turns(problem, drawn, sought, seed, rest, jobs, random_trace.seconds, progress)
    return SearchOutcome(drawn + found, (random_trace, *traces), budget.reproducible)


def _checked(shares: Shares) -> Shares:
    unknown = sorted(set(shares) - {"random", *METHODS})
    if unknown:
        raise InputError("search", "shares", ", ".join(unknown), f"some of random, {', '.join(METHODS)}")
    if not shares.get("random", 0) > 0 or min(shares.values()) < 0:
        raise InputError("search", "shares", dict(shares), "no negative share, more than 0 for random samples")
    return shares


def _turns(problem: Problem, drawn: tuple[Sample, ...], shares: Shares, seed: int, budget: Budget, jobs: int,
           elapsed: float, progress: Progress | None) -> tuple[tuple[Sample, ...], tuple[SearchTrace, ...]]:
    """Let the methods of `shares` take turns after `drawn`, which took `elapsed` seconds."""
    meter = Meter(budget)
    incumbents = Incumbents(drawn)
    methods: dict[Origin, SearchMethod] = {}
    recorders: dict[Origin, Recorder] = {}
    index = 1 + drawn[-1].index

    def used(name: Origin) -> float:
        """What a method has had, in units of its share."""
        if name not in recorders:
            return 0.0
        own = recorders[name]
        return (own.evaluations if budget.seconds is None else own.seconds) / shares[name]

    with Evaluator(problem, meter, jobs) as evaluator:
        while meter.allowed(1):
            begun, before = time.monotonic(), len(incumbents.samples)
            name = min(shares, key=used)
            if name not in methods:
                recorders[name] = Recorder(name, problem.scale, seconds=elapsed + meter.seconds, evaluations=before,
                                           best=incumbents.best.relative_gap)
                methods[name] = METHODS[name](problem, incumbents, seed)
            points = methods[name].ask(meter.spent)
            found = evaluator.evaluate(points, index, name)
            index += len(points)
            evaluated = [sample for sample in found if sample is not None]
            incumbents.add(evaluated)
            methods[name].tell(found)
            recorders[name].add(evaluated, took=time.monotonic() - begun, seconds=elapsed + meter.seconds,
                                evaluations=before)
            if progress is not None:
                progress(name, meter.spent, len(incumbents.samples), incumbents.best.relative_gap)
    return tuple(incumbents.samples[len(drawn):]), tuple(recorder.trace() for recorder in recorders.values())
