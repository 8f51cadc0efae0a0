"""Exclusion and repetition: once regions are found, search again where none of them holds.

A search that seeks large gaps gathers where the largest are, and a smaller region elsewhere gets few inputs. So a part
of the budget is kept back; it is spent on the same problem without the inputs of all regions found so far, in rounds.
Source: Towards Safer Heuristics With XPlain (HotNets 2024), "exclude, repeat".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from drex_runtime.errors import LimitError
from xplain.records import Region, Sample, SearchTrace
from xplain.regions import Linear, excluding, find_regions_with_evidence
from xplain.search import Budget, SearchOutcome, portfolio
from xplain.studies.guarded import Guarded
from xplain.studies.sampling import usable

SHARE = 0.2  # of the search's budget
ROUNDS = 2
SEEDS = 1_000_003  # rounds draw inputs of their own
OUTSIDE = " outside"  # how its methods' names end
Tell = Callable[[str], None]


def kept_back(budget: Budget) -> tuple[Budget, Budget | None]:
    """The budget of the search before, and that of one round (None: too small to be divided)."""
    part = SHARE / ROUNDS
    if budget.evaluations is not None and budget.evaluations * part < 1:
        return budget, None
    each = budget.share(part)
    before = Budget(None if budget.evaluations is None else budget.evaluations - ROUNDS * (each.evaluations or 0),
                    None if budget.seconds is None else budget.seconds * (1 - SHARE))
    return before, each


def search_outside(problem: Guarded, before: SearchOutcome, held_out: Sequence[Sample], threshold: float, seed: int,
                   each: Budget, jobs: int, tell: Tell) -> SearchOutcome:
    """What the rounds find (`before` is not part of it), each outside of the significant regions known by then. Without
    such regions it is the same search going on. Ends early where regions leave nothing to draw from."""
    known, traces = list(before.samples), list[SearchTrace]()
    for number in range(ROUNDS):
        regions, linear = _regions(problem, known, held_out, threshold, seed)
        tell(f"search outside of {len(regions)} regions, round {number + 1} of {ROUNDS}" if regions
             else f"search, no region yet, round {number + 1} of {ROUNDS}")
        allowed = excluding(problem, regions, linear, problem.features)
        try:
            found = portfolio(allowed, each, seed + SEEDS * (number + 1), jobs=jobs, first_index=1 + known[-1].index)
        except LimitError:
            break
        traces += [_placed(trace, before, len(known), bool(regions)) for trace in found.traces]
        # Drawn outside of regions is not drawn from the declared distribution.
        known += [replace(sample, origin="outside") if regions and sample.unbiased else sample
                  for sample in found.samples]
    return SearchOutcome(tuple(known[len(before.samples):]), tuple(traces), before.reproducible)


def together(one: SearchOutcome, other: SearchOutcome) -> SearchOutcome:
    """Both searches as one."""
    return SearchOutcome(one.samples + other.samples, one.traces + other.traces, one.reproducible)


def _regions(problem: Guarded, known: Sequence[Sample], held_out: Sequence[Sample], threshold: float, seed: int
             ) -> tuple[list[Region], tuple[Linear, ...]]:
    kept = usable(known, held_out)
    if not kept.samples or not kept.held_out:
        return [], ()
    found = find_regions_with_evidence(problem, kept.samples, kept.held_out, threshold, seed, curves=False)
    return [region for region in found.regions if region.significant], found.linear


def _placed(trace: SearchTrace, before: SearchOutcome, evaluations: int, excluded: bool) -> SearchTrace:
    """On the axes of the search before."""
    began = max((trace.seconds for trace in before.traces), default=0.0)
    improvements = tuple((began + seconds, evaluations + at, best) for seconds, at, best in trace.improvements)
    return replace(trace, method=trace.method + (OUTSIDE if excluded else " again"), improvements=improvements)
