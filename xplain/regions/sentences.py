"""Regions as sentences an operator can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xplain.problems.interface import Problem
from xplain.records import Predicate
from xplain.regions.record import Linear


def sentence(problem: Problem, predicates: Sequence[Predicate], integer: frozenset[str], mean_gap: float,
             subject: str, linear: Sequence[Linear] = ()) -> str:
    """Such as "exit rate at most 0.31 and requests in flight at least 12: drex loses 14 % on average".

    `linear`: the derived features, read as sums of what the problem describes.
    """
    features = list(dict.fromkeys(predicate.feature for predicate in predicates))
    known = {each.name: each for each in linear}
    conditions = [_condition(described(problem, feature, known), feature, predicates, feature in integer)
                  for feature in features]
    verb = "loses" if mean_gap >= 0 else "gains"
    return f"{' and '.join(conditions) or 'everywhere'}: {subject} {verb} {percent(abs(mean_gap))} on average"


def described(problem: Problem, feature: str, linear: Mapping[str, Linear]) -> tuple[str, str]:
    """(meaning, unit) of a feature or of a sum of features: "size of ball 1 plus size of ball 2"."""
    if feature not in linear:
        return problem.describe(feature)
    text, unit = "", ""
    for name, coefficient in linear[feature].terms:
        meaning, unit = problem.describe(name)
        factor = {1.0: "", 2.0: "twice "}.get(abs(coefficient), f"{abs(coefficient):g} times ")
        sign = (" plus " if coefficient > 0 else " minus ") if text else ("" if coefficient > 0 else "minus ")
        text += f"{sign}{factor}{meaning}"
    return text, unit


def percent(share: float) -> str:
    """A share in per cent: two significant digits below ten, whole numbers above."""
    value = 100 * share
    if value >= 9.95 or value == 0:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.1 else f"{value:.1g} %"


def _condition(described: tuple[str, str], feature: str, predicates: Sequence[Predicate], integer: bool) -> str:
    meaning, unit = described
    bounds = {predicate.relation: predicate.bound for predicate in predicates if predicate.feature == feature}
    low, high = bounds.get(">"), bounds.get("<=")
    # The unit is left out where the meaning already ends with it: "requests in flight at least 12".
    suffix = f" {unit}" if unit and unit not in meaning.split() else ""
    if integer:
        least = None if low is None else int(low) + 1
        if least is not None and high is not None:
            if least == int(high):
                return f"{meaning} exactly {least:,}{suffix}"
            return f"{meaning} from {least:,} to {int(high):,}{suffix}"
        return f"{meaning} at most {_whole(high)}{suffix}" if least is None else f"{meaning} at least {least:,}{suffix}"
    if low is not None and high is not None:
        return f"{meaning} between {number(low)} and {number(high)}{suffix}"
    return f"{meaning} above {number(low)}{suffix}" if low is not None else f"{meaning} at most {number(high)}{suffix}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{int(value):,}"


def number(value: float | None) -> str:
    """A bound as it is stored: bounds are rounded before they are judged, so nothing is lost here."""
    if value is None:
        return ""
    return f"{value:,.10g}" if abs(value) < 1e9 else f"{value:g}"
