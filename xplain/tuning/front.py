"""The Pareto front of the settings tried, and which of them is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from drex_runtime.records.numbers import number_text
from xplain.records import FrontPoint, Setting
from xplain.tuning.optimise import IRRELEVANT
from xplain.tuning.trials import Trials, Values, key_of


def settings_of(values: Values, default: Mapping[str, Fraction]) -> tuple[Setting, ...]:
    """A setting as a record, by name."""
    return tuple(Setting(name, number_text(default[name]), number_text(value))
                 for name, value in sorted(values.items()))


def front(trials: Trials, default: Mapping[str, Fraction], chosen: Values) -> tuple[FrontPoint, ...]:
    """Allowed settings that no other allowed one beats in mean and tail, by mean; and `chosen`, marked."""
    allowed = sorted(filter(trials.allowed, trials.settings()), key=len)  # of equal ones that with the fewest changes
    measured = {key_of(values): trials.mean_and_tail(values) for values in [*allowed, dict(chosen)]}
    best = non_dominated([measured[key_of(values)] for values in allowed])
    kept = [allowed[k] for k in best]
    if key_of(chosen) not in {key_of(values) for values in kept}:
        kept.append(dict(chosen))
    points = [FrontPoint(settings_of(values, default), *measured[key_of(values)], key_of(values) == key_of(chosen),
                         trials.minimum_ratio(values)) for values in kept]
    return tuple(sorted(points, key=lambda item: (item.mean, item.tail)))


def non_dominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats in one number without losing in the other; one of equal points."""
    found: list[int] = []
    for k in sorted(range(len(points)), key=lambda k: (points[k], k)):
        if not found or points[k][1] < points[found[-1]][1]:
            found.append(k)
    return found


def choice_text(trials: Trials, best: Values, chosen: Values) -> str:
    """Why this setting and no other."""
    tried = trials.settings()
    refused = sum(not trials.allowed(values) for values in tried)
    tail = trials.tail_weight
    text = (f"chosen of {len(tried)} settings tried: the lowest mix of mean ({1 - tail:.0%}) and mean of the worst "
            f"quarter ({tail:.0%}) of the relative gap on the training workloads")
    if refused:
        text += (f"; {refused} were left out because their throughput falls below {trials.floor:g} of no-exit's on "
                 "some training workload")
    if refused == len(tried):
        text += "; as all were, the one that comes nearest is taken"
    if key_of(best) != key_of(chosen):
        text += f"; values that matter less than {IRRELEVANT:.1%} went back to their defaults"
    return text
