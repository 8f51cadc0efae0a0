"""The search for one setting: TPE (optuna) from the current values and the corners of the ranges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import optuna

from drex_runtime.records.numbers import number_text
from xplain.problems.operating import OperatingProblem
from xplain.records import Sample
from xplain.tuning.ranges import SearchRange
from xplain.tuning.scoring import TAIL_WEIGHT, relative_gaps, score

Progress = Callable[[str], None]
IRRELEVANT = 0.002  # of the relative gap
CORNER = 10**9  # clipped to each range's upper end


def best_setting(problem: OperatingProblem, ranges: Sequence[SearchRange], default: Mapping[str, Fraction],
                 training: Sequence[Sample], *, trials: int, seconds: float | None, seed: int, jobs: int,
                 start: Mapping[str, Fraction] | None = None, progress: Progress = lambda _: None,
                 tail_weight: float = TAIL_WEIGHT) -> tuple[dict[str, Fraction], int]:
    """The values that differ from `default` in the setting with the best score on `training`; settings evaluated.

    `default`: the heuristic's own values. A value equal to its default stays unset, so that a default that depends on
    N goes on depending on it. Starts with `start` (default: the defaults), all-low, all-high, and each parameter alone
    at its ends, so that policies the table contains as corners (never consult, flush at once) are always candidates.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=10))
    begin = {**default, **(start or {})}
    for values in _first_guesses(ranges, begin):
        study.enqueue_trial(values)
    begun = time.monotonic()
    best: tuple[float, dict[str, Fraction]] = (float("inf"), {})
    seen: dict[tuple[tuple[str, Fraction], ...], float] = {}

    def objective(trial: optuna.Trial) -> float:
        nonlocal best
        # A value that optuna's grid cannot hit exactly (an unset 1940/4283) is meant by its nearest grid point.
        found = {item.name: item.decoded(item.suggest(trial), begin[item.name]) for item in ranges}
        changed = {name: value for name, value in {**begin, **found}.items() if value != default[name]}
        key = tuple(sorted(changed.items()))
        if key not in seen:
            settings = {**problem.heuristic.settings, **{name: number_text(value) for name, value in changed.items()}}
            contender = replace(problem.heuristic, name="trial", settings=settings)
            seen[key] = score(relative_gaps(problem, contender, training, jobs), tail_weight)
        if seen[key] < best[0]:
            best = (seen[key], changed)
        progress(f"tuning {trial.number + 1}/{trials}: best score {best[0]:+.3f}")
        return seen[key]

    for _ in range(trials):
        if seconds is not None and time.monotonic() - begun > seconds:
            break
        study.optimize(objective, n_trials=1)
    return best[1], len(seen)


def fewest_changes(problem: OperatingProblem, changed: Mapping[str, Fraction], training: Sequence[Sample], *,
                   jobs: int) -> dict[str, Fraction]:
    """`changed` without what does not matter: one value after the other goes back to its default if the score stays
    within `IRRELEVANT` of the best. What is left is what the operator has to understand."""
    def scored(values: Mapping[str, Fraction]) -> float:
        settings = {**problem.heuristic.settings, **{name: number_text(value) for name, value in values.items()}}
        contender = replace(problem.heuristic, name="trial", settings=settings)
        return score(relative_gaps(problem, contender, training, jobs))

    kept = dict(changed)
    if not kept:
        return kept
    best = scored(kept)
    for name in changed:
        without = {other: value for other, value in kept.items() if other != name}
        if scored(without) <= best + IRRELEVANT:
            kept = without
    return kept


def _first_guesses(ranges: Sequence[SearchRange], begin: Mapping[str, Fraction]) -> list[dict[str, int]]:
    here = {item.name: item.encoded(begin[item.name]) for item in ranges}
    guesses = [here]
    for end in (Fraction(0), Fraction(CORNER)):
        guesses.append({item.name: item.encoded(end) for item in ranges})
        guesses += [{**here, item.name: item.encoded(end)} for item in ranges]
    return guesses
