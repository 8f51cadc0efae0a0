"""The search for one setting: TPE (optuna) from the current values and the corners of the ranges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import optuna

from xplain.problems.operating import OperatingProblem
from xplain.records import Sample
from xplain.tuning.ranges import SearchRange, decimal_text
from xplain.tuning.scoring import relative_gaps, score

Progress = Callable[[str], None]
CORNER = 10**9  # clipped to each range's upper end


def best_setting(problem: OperatingProblem, ranges: Sequence[SearchRange], current: Mapping[str, Fraction],
                 training: Sequence[Sample], *, trials: int, seconds: float | None, seed: int, jobs: int,
                 progress: Progress = lambda _: None) -> tuple[dict[str, Fraction], int]:
    """Values (of parameters that change) with the best score on `training`, and how many settings were evaluated.

    Starts with the current values, all-low, all-high, and each parameter alone at its ends, so that policies the
    table contains as corners (never consult, flush at once) are always among the candidates.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=10)
    study = optuna.create_study(sampler=sampler)
    start = {item.name: item.encoded(current[item.name]) for item in ranges}
    study.enqueue_trial(start)
    for ends in (Fraction(0), Fraction(CORNER)):
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
            seen[key] = score(relative_gaps(problem, contender, training, jobs))
        if seen[key] < best[0]:
            best = (seen[key], values)
        progress(f"tuning {trial.number + 1}/{trials}: best score {best[0]:+.3f}")
        return seen[key]

    for _ in range(trials):
        if seconds is not None and time.monotonic() - begun > seconds:
            break
        study.optimize(objective, n_trials=1)
    kept = {name: value for name, value in best[1].items() if value != current[name]}
    return kept, len(seen)


