"""Search the parameters that the causes name, on adversarial and benign workloads, and check them on held-out ones.

Score of a setting on the training points: half the mean, half the mean of the worst quarter (CVaR) of its relative
gap to the benchmark. The held-out check uses points and workload seeds that no search has seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, sqrt

import numpy as np
import optuna
from joblib import Parallel, delayed

from drex_runtime.policies import shipped_policy
from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Attribution, Comparison, Region, Sample, Setting, Tuning
from xplain.tuning.ranges import SearchRange, decimal_text, search_ranges

MEAN_WEIGHT = 0.5
TAIL = 0.25
REFERENCE = Contender("no-exit", shipped_policy("no-exit"))
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much tuning may cost and what it may touch. `parameters` () = those the causes name."""

    trials: int = 60
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
    names = plan.parameters or named_parameters(problem, attributions)
    largest = int(problem.space.dimension("num_seqs").high)
    current = problem.bound(problem.heuristic, {"num_seqs": largest})
    ranges = search_ranges(problem.heuristic.policy, names, current, largest)
    if not ranges:
        return Tuning((), (), 0, (), False, "the policy has no parameter that the causes name")
    training = training_points(problem, samples, regions, plan)
    best, evaluations = _search(problem, ranges, current.values, training, plan, progress)
    settings = tuple(Setting(item.name, decimal_text(current.values[item.name]), decimal_text(best[item.name]))
                     for item in ranges if best.get(item.name) is not None)
    tuned = replace(problem.heuristic, name=f"{problem.heuristic.name} (tuned)",
                    settings={**problem.heuristic.settings, **{item.name: item.proposed for item in settings}})
    comparisons = held_out(problem, tuned, regions, plan)
    accepted, reason = _verdict(comparisons, bool(settings))
    return Tuning(settings, tuple(item.name for item in ranges), evaluations, comparisons, accepted, reason)


def training_points(problem: OperatingProblem, samples: Sequence[Sample], regions: Sequence[Region],
                    plan: Plan) -> list[Sample]:
    """The worst samples (inside regions first) and benign ones from the declared distribution."""
    inside = [item for item in samples if any(region.holds(item.features) for region in regions)] or list(samples)
    worst = sorted(inside, key=lambda item: -item.relative_gap)[:plan.adversarial]
    taken = {item.index for item in worst}
    benign = [item for item in samples if item.origin == "random" and item.index not in taken][:plan.benign]
    return [*worst, *benign]


def score(gaps: Sequence[float]) -> float:
    """Half the mean, half the mean of the worst quarter."""
    ordered = np.sort(np.asarray(gaps, dtype=float))[::-1]
    tail = ordered[:max(1, ceil(TAIL * len(ordered)))]
    return float(MEAN_WEIGHT * ordered.mean() + (1 - MEAN_WEIGHT) * tail.mean())


def relative_gaps(problem: OperatingProblem, contender: Contender, points: Sequence[Sample], jobs: int) -> list[float]:
    """Relative gap of `contender` to the recorded benchmark at each point."""
    def one(sample: Sample) -> float:
        value = sum(int(run.objective(problem.objective)) for run in problem.run(contender, sample.point))
        return (value - sample.upper) / sample.upper

    if jobs == 1:
        return [one(sample) for sample in points]
    found: list[float] = Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(sample) for sample in points)
    return found


def _search(problem: OperatingProblem, ranges: Sequence[SearchRange], current: dict[str, Fraction],
            training: Sequence[Sample], plan: Plan, progress: Progress) -> tuple[dict[str, Fraction], int]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=plan.seed, multivariate=True, n_startup_trials=10)
    study = optuna.create_study(sampler=sampler)
    start = {item.name: item.encoded(current[item.name]) for item in ranges}
    study.enqueue_trial(start)
    for ends in (Fraction(0), Fraction(10**9)):
        study.enqueue_trial({item.name: item.encoded(ends) for item in ranges})
        for item in ranges:
            study.enqueue_trial({**start, item.name: item.encoded(ends)})
    begun = time.monotonic()
    best: tuple[float, dict[str, Fraction]] = (float("inf"), {})
    seen: dict[tuple[Fraction, ...], float] = {}

    def objective(trial: optuna.Trial) -> float:
        nonlocal best
        values = {item.name: item.suggest(trial) for item in ranges}
        key = tuple(values.values())
        if key not in seen:
            settings = {**problem.heuristic.settings, **{name: decimal_text(value) for name, value in values.items()}}
            contender = replace(problem.heuristic, name="trial", settings=settings)
            seen[key] = score(relative_gaps(problem, contender, training, plan.jobs))
        if seen[key] < best[0]:
            best = (seen[key], values)
        progress(f"tuning {trial.number + 1}/{plan.trials}: best score {best[0]:+.3f}")
        return seen[key]

    for _ in range(plan.trials):
        if plan.seconds is not None and time.monotonic() - begun > plan.seconds:
            break
        study.optimize(objective, n_trials=1)
    kept = {name: value for name, value in best[1].items() if value != current[name]}
    return kept, len(seen)


def held_out(problem: OperatingProblem, tuned: Contender, regions: Sequence[Region], plan: Plan) -> tuple[Comparison,
                                                                                                         ...]:
    """Before and after on fresh points with fresh workload seeds: everywhere, and inside each region."""
    fresh = OperatingProblem(problem.heuristic, problem.benchmarks, problem.profile, problem.space, problem.objective,
                             problem.threshold, seed=problem.seed + 7919, replicates=problem.replicates)
    rng = np.random.default_rng([plan.seed, 104729])
    found = [_compared(fresh, tuned, "whole space", [fresh.draw(rng) for _ in range(plan.held_out)], plan.jobs)]
    for region in regions:
        points = []
        for _ in range(200 * plan.held_out):
            point = fresh.draw(rng)
            if region.holds(point):
                points.append(point)
            if len(points) == plan.held_out:
                break
        if points:
            found.append(_compared(fresh, tuned, region.name, points, plan.jobs))
    return tuple(found)


def _compared(problem: OperatingProblem, tuned: Contender, name: str, points: Sequence[dict[str, float]],
              jobs: int) -> Comparison:
    def one(point: dict[str, float]) -> tuple[float, float, float, float]:
        def totals(contender: Contender) -> tuple[int, int]:
            runs = problem.run(contender, point)
            return sum(int(run.objective(problem.objective)) for run in runs), sum(run.makespan for run in runs)

        best = min(totals(contender)[0] for contender in problem.benchmarks)
        (before, span_before), (after, span_after) = totals(problem.heuristic), totals(tuned)
        reference = totals(REFERENCE)[1]
        return before / best - 1, after / best - 1, reference / span_before, reference / span_after

    rows = np.array(Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(point) for point in points))
    before, after, ratio_before, ratio_after = rows.T
    half = 1.96 * float(after.std(ddof=1)) / sqrt(len(after)) if len(after) > 1 else 0.0
    mean = float(after.mean())
    return Comparison(name, len(points) * problem.replicates, float(before.mean()), mean, mean - half, mean + half,
                      float(before.max()), float(after.max()), float(ratio_before.mean()), float(ratio_after.mean()),
                      float(ratio_after.min()))


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
