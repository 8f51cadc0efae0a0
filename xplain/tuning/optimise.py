"""The search for one setting: TPE (optuna) from the current values and the corners of the ranges, and moves of the
best.

Settings whose throughput falls below the floor somewhere count as worse than all others, the nearer to the floor the
better: the search is led back before it looks for gain. Source: Bergstra et al. 2011 (TPE); Deb 2000 (the order).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import optuna

from xplain.problems.operating import OperatingProblem
from xplain.records import Sample
from xplain.tuning.prepared import prepared
from xplain.tuning.ranges import SearchRange
from xplain.tuning.scoring import ENOUGH_TOKENS, TAIL_WEIGHT
from xplain.tuning.trials import REFUSED, Key, Trials, Values, key_of

Progress = Callable[[str], None]
IRRELEVANT = 0.002  # of the relative gap
CORNER = 10**9  # clipped to each range's upper end
PROPOSALS = 4  # per new setting: TPE proposes some again, which cost nothing
STARTUP = 10
SINGLE, NEAR = 0.7, 0.1  # share of moves of the best that change one value; a step's length in the range
SELDOM = 0.1  # weight of a parameter that seems not to matter
OPEN = optuna.trial.TrialState.WAITING
PROPOSED = 3  # every how many settings TPE proposes one; the others are moves of the best
KEPT = 10  # settings known from before from which a search goes on


@dataclass(frozen=True)
class Effort:
    """What a search may cost: new settings, and the monotonic clock at which it ends."""

    settings: int
    deadline: float | None = None


def explore(trials: Trials, ranges: Sequence[SearchRange], default: Mapping[str, Fraction], effort: Effort, seed: int,
            progress: Progress = lambda _: None, start: Mapping[str, Fraction] | None = None,
            guesses: Sequence[Values] | None = None) -> None:
    """Try settings of `ranges`, the others as in `start`; `trials` keeps them.

    `default`: the heuristic's own values; a value equal to its default stays unset. Starts with `start`, all-low,
    all-high, and each parameter alone at its ends, so that policies the table contains as corners (never consult, flush
    at once) are always candidates (`guesses` instead, if given), and with the best settings tried before.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True,
                                                                   n_startup_trials=STARTUP))
    begin = {**default, **(start or {})}
    known = sorted(trials.settings(), key=trials.score)[:KEPT]
    first = _first_guesses(ranges, begin) if guesses is None else [_encoded(ranges, {**default, **found})
                                                                   for found in guesses]
    for values in [*first, *(_encoded(ranges, {**default, **found}) for found in known)]:
        study.enqueue_trial(values)
    before = len(trials)

    def objective(trial: optuna.Trial) -> float:
        # A value that optuna's grid cannot hit exactly (an unset 1940/4283) is meant by its nearest grid point.
        found = {item.name: item.decoded(item.suggest(trial), begin[item.name]) for item in ranges}
        return trials.score({name: value for name, value in {**begin, **found}.items() if value != default[name]})

    rng = np.random.default_rng([seed, len(ranges)])
    for number in range(PROPOSALS * effort.settings + KEPT):
        tried = len(trials) - before
        if tried >= effort.settings or (effort.deadline is not None and time.monotonic() >= effort.deadline):
            break
        if number % PROPOSED and not _waiting(study):
            study.enqueue_trial(_moved(ranges, study.best_params, _weights(ranges, trials), rng))
        study.optimize(objective, n_trials=1)
        best = study.best_value
        progress(f"tuning, setting {len(trials)} ({', '.join(item.name for item in ranges)[:60]}): "
                 + (f"best score {best:+.3f}" if best < REFUSED else "none keeps the floor yet"))


def best_setting(problem: OperatingProblem, ranges: Sequence[SearchRange], default: Mapping[str, Fraction],
                 training: Sequence[Sample], *, trials: int, seconds: float | None, seed: int, jobs: int,
                 start: Mapping[str, Fraction] | None = None, progress: Progress = lambda _: None,
                 tail_weight: float = TAIL_WEIGHT, floor: float = 0.0) -> tuple[dict[str, Fraction], int]:
    """The values that differ from `default` in the setting with the best score on `training`; settings evaluated.

    One plain search without the rest of tuning: no floor by default, every point counts in the mean.
    """
    points = [prepared(problem, sample.point, "benign", tokens=ENOUGH_TOKENS if floor else 0) for sample in training]
    found = Trials(problem, points, jobs=jobs, tail_weight=tail_weight, floor=floor)
    deadline = None if seconds is None else time.monotonic() + seconds
    found.score({})  # nothing changed is a candidate, however early the time is up
    explore(found, ranges, default, Effort(trials, deadline), seed, progress, start)
    return found.best(), len(found)


def towards(values: Values, default: Mapping[str, Fraction], ranges: Sequence[SearchRange]) -> list[Values]:
    """`values` with one of them half way or one step nearer to its default: where to look if they go too far."""
    found: list[Values] = []
    for item in ranges:
        if item.name in values:
            here, there = item.encoded(values[item.name]), item.encoded(default[item.name])
            nearer = dict.fromkeys(((here + there) // 2, here + (1 if there > here else -1)))
            found += [{**values, item.name: item.value(number)} for number in nearer if number != here]
    return found


def ends(values: Values, default: Mapping[str, Fraction], ranges: Sequence[SearchRange]) -> list[Values]:
    """`values`, and each parameter of `ranges` alone at its ends."""
    found: list[Values] = [values]
    for item in ranges:
        for end in (item.low, item.high):
            found.append({**{name: value for name, value in values.items() if name != item.name},
                          **({} if end == default[item.name] else {item.name: end})})
    return found


def fewest_changes(trials: Trials, changed: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """`changed` without what does not matter: one value after the other goes back to its default if the score stays
    within `IRRELEVANT` of the best. What is left is what the operator has to understand."""
    kept = dict(changed)
    best = trials.score(kept)
    for name in changed:
        without = {other: value for other, value in kept.items() if other != name}
        if trials.score(without) <= best + IRRELEVANT:
            kept = without
    return kept


def _first_guesses(ranges: Sequence[SearchRange], begin: Mapping[str, Fraction]) -> list[dict[str, int]]:
    here = _encoded(ranges, begin)
    guesses = [here]
    for end in (Fraction(0), Fraction(CORNER)):
        guesses.append({item.name: item.encoded(end) for item in ranges})
        guesses += [{**here, item.name: item.encoded(end)} for item in ranges]
    return guesses


def _waiting(study: optuna.Study) -> bool:
    """Whether a guess is still to be tried."""
    return bool(study.get_trials(deepcopy=False, states=(OPEN,)))


def _weights(ranges: Sequence[SearchRange], trials: Trials) -> list[float]:
    """How often each parameter is moved: seldom where changing it alone has changed nothing so far."""
    scored = [(values, trials.score(values)) for values in trials.settings()]
    found = []
    for item in ranges:
        alike: dict[Key, list[float]] = {}  # scores of settings that differ in this parameter only
        for values, reached in scored:
            alike.setdefault(key_of({name: value for name, value in values.items() if name != item.name}),
                             []).append(reached)
        groups = [group for group in alike.values() if len(group) > 1]
        found.append(SELDOM if groups and all(len(set(group)) == 1 for group in groups) else 1.0)
    return found


def _moved(ranges: Sequence[SearchRange], best: Mapping[str, int], weights: Sequence[float],
           rng: np.random.Generator) -> dict[str, int]:
    """The best with one value, or two, changed: a step away, or anywhere in its range."""
    found, count = dict(best), min(len(ranges), 1 if rng.random() < SINGLE else 2)
    for k in rng.choice(len(ranges), count, replace=False, p=np.array(weights) / sum(weights)):
        item = ranges[int(k)]
        low, high = item.encoded(Fraction(0)), item.encoded(Fraction(CORNER))
        near = max(1, round(NEAR * (high - low)))
        value = (found[item.name] + int(rng.integers(-near, near + 1)) if rng.random() < 0.5
                 else int(rng.integers(low, high + 1)))
        found[item.name] = min(max(value, low), high)
    return found


def _encoded(ranges: Sequence[SearchRange], values: Mapping[str, Fraction]) -> dict[str, int]:
    return {item.name: item.encoded(values[item.name]) for item in ranges}
