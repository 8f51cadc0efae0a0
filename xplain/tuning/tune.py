"""Search the parameters that the causes name, on adversarial and benign workloads, and check them on held-out ones.

Score of a setting on the training points: half the mean, half the mean of the worst quarter (CVaR) of its relative
gap to the benchmark. The held-out check uses points and workload seeds that no search has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from drex_runtime.records.numbers import number_text
from xplain.problems.operating import OperatingProblem
from xplain.records import Attribution, Comparison, Region, Sample, Setting, Tuning
from xplain.tuning.held_out import held_out
from xplain.tuning.optimise import Progress, best_setting, fewest_changes
from xplain.tuning.ranges import search_ranges

NAMED_SHARE = 0.5  # of the trials, spent on the parameters that the causes name


@dataclass(frozen=True)
class Plan:
    """How much tuning may cost and what it may touch. `parameters`: search only these; () = those that
    the causes name, then all."""

    trials: int = 100
    seconds: float | None = None
    adversarial: int = 8
    benign: int = 16
    held_out: int = 24
    parameters: tuple[str, ...] = ()
    seed: int = 0
    jobs: int = 2


def named_parameters(problem: OperatingProblem, attributions: Sequence[Attribution]) -> tuple[str, ...]:
    """Parameters that occur in causes with positive cost, costliest first; all of the policy's if none does."""
    ticks: dict[str, float] = {}
    for attribution in attributions:
        for cause in attribution.causes:
            if cause.ticks > 0:
                for name in cause.parameters:
                    ticks[name] = ticks.get(name, 0.0) + cause.ticks / max(1, abs(attribution.gap))
    ordered = tuple(sorted(ticks, key=lambda name: -ticks[name]))
    return ordered or tuple(parameter.name for parameter in problem.heuristic.policy.parameters)


def tune(problem: OperatingProblem, samples: Sequence[Sample], regions: Sequence[Region],
         attributions: Sequence[Attribution], plan: Plan, progress: Progress = lambda _: None) -> Tuning:
    """Proposed settings for the problem's heuristic with their held-out effect."""
    named = plan.parameters or named_parameters(problem, attributions)
    largest = int(problem.space.dimension("num_seqs").high)
    current = problem.bound(problem.heuristic, {"num_seqs": largest})
    training = training_points(problem, samples, regions, plan)
    every = tuple(item.name for item in problem.heuristic.policy.parameters)
    best: dict[str, Fraction] = {}
    evaluations, searched = 0, []
    # First what the causes name, then everything from there: a cure can need a parameter no single run blames.
    stages = ((named, 1.0),) if plan.parameters else ((named, NAMED_SHARE), (every, 1 - NAMED_SHARE))
    for names, share in stages:
        ranges = search_ranges(problem.heuristic.policy, names, current, largest)
        if not ranges:
            continue
        best, count = best_setting(problem, ranges, current.values, training, trials=ceil(plan.trials * share),
                                   seconds=plan.seconds and plan.seconds * share, seed=plan.seed, jobs=plan.jobs,
                                   start=best, progress=progress)
        evaluations += count
        searched += [item.name for item in ranges if item.name not in searched]
    best = fewest_changes(problem, best, training, jobs=plan.jobs)
    settings = tuple(Setting(name, number_text(current.values[name]), number_text(value))
                     for name, value in sorted(best.items()))
    tuned = replace(problem.heuristic, name=f"{problem.heuristic.name} (tuned)",
                    settings={**problem.heuristic.settings, **{item.name: item.proposed for item in settings}})
    comparisons = held_out(problem, tuned, regions, points=plan.held_out, seed=plan.seed, jobs=plan.jobs)
    accepted, reason = _verdict(comparisons, bool(settings))
    return Tuning(settings, tuple(searched), evaluations, comparisons, accepted, reason)


def training_points(problem: OperatingProblem, samples: Sequence[Sample], regions: Sequence[Region],
                    plan: Plan) -> list[Sample]:
    """The worst samples (inside regions first) and benign ones from the declared distribution."""
    inside = [item for item in samples if any(region.holds(item.features) for region in regions)] or list(samples)
    worst = sorted(inside, key=lambda item: -item.relative_gap)[:plan.adversarial]
    taken = {item.index for item in worst}
    benign = [item for item in samples if item.origin == "random" and item.index not in taken][:plan.benign]
    return [*worst, *benign]


def _verdict(comparisons: Sequence[Comparison], changed: bool) -> tuple[bool, str]:
    if not changed:
        return False, "no setting scored better than the current one"
    whole = comparisons[0]
    if whole.after >= whole.before:
        return False, f"held-out mean gap does not fall: {whole.before:+.1%} to {whole.after:+.1%}"
    worse = [item.slice for item in comparisons if item.after > item.before]
    if worse:
        return False, f"worse than before in {', '.join(worse)}"
    return True, (f"held-out mean gap {whole.before:+.1%} to {whole.after:+.1%}, worst {whole.worst_before:+.1%} to "
                  f"{whole.worst_after:+.1%}")
