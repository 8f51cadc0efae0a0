"""Claims in words: "the gap grows with the length of the pinned demand's shortest path: ..., on 120 held-out ..."."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from xplain.generalise.record import Claim, Estimate
from xplain.records import Predicate

PERCENT = 95


@dataclass(frozen=True)
class Words:
    """What a family says of itself."""

    family: str
    noun: str
    response: str
    unit: str
    describe: Callable[[str], tuple[str, str]]

    def meaning(self, feature: str) -> str:
        """In words."""
        return self.describe(feature)[0] or feature

    def completed(self, claim: Claim, same: tuple[str, ...]) -> Claim:
        """With its sentence; `same`: features that cannot be told apart from the claim's."""
        whole = f"{self._statement(claim)}{self._same(same)}: {self._figures(claim)}"
        return replace(claim, sentence=whole, same_as=same)

    def _statement(self, claim: Claim) -> str:
        meaning, up = self.meaning(claim.feature), claim.direction == "increasing"
        verb, opposite = ("grows", "falls") if up else ("falls", "grows")
        if claim.kind == "threshold" and claim.cut is not None:
            place = _number(claim.cut) + self._unit_of(claim.feature)
            return f"the gap is {'larger' if up else 'smaller'} where {meaning} is above {place}"
        trend = f"the gap {verb} with {meaning}"
        if claim.where is None:
            return trend
        where = self.condition(claim.where)
        if claim.kind == "only-where":
            return f"{trend}, but only where {where}"
        if claim.kind == "reversed":
            return f"{trend} where {where}, and {opposite} with it elsewhere"
        return f"{trend}, more steeply where {where}"

    def condition(self, predicate: Predicate) -> str:
        """A bound in words."""
        relation = "at most" if predicate.relation == "<=" else "above"
        return f"{self.meaning(predicate.feature)} is {relation} {_number(predicate.bound)}" \
               f"{self._unit_of(predicate.feature)}"

    def _figures(self, claim: Claim) -> str:
        found = [self._effect(claim)]
        if claim.cut_range is not None:
            what = "the place" if claim.where is None else f"the bound on {self.meaning(claim.where.feature)}"
            found.append(f"{what} lies between {_number(claim.cut_range[0])} and {_number(claim.cut_range[1])} "
                         f"({PERCENT} %, all instances)")
        found.append(f"partial rank correlation {_interval(claim.rank)}")
        found.append(f"other features held fixed, on {claim.held_out} held-out {self.noun} "
                     f"(p = {claim.p_held_out:.1g}; when searching {claim.p_search:.1g}; both corrected)")
        return "; ".join(found)

    def _effect(self, claim: Claim) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if claim.kind == "threshold":
            return f"by {_interval(claim.effect)}{unit}"
        per = f"{unit} per {_singular(self.describe(claim.feature)[1])}"
        if claim.elsewhere is None:
            return f"{_interval(claim.effect)}{per}"
        return f"{_interval(claim.effect)}{per} there, {_interval(claim.elsewhere)} elsewhere"

    def _unit_of(self, feature: str) -> str:
        """Left out where the meaning says it: "the number of rows is above 4"."""
        meaning, unit = self.describe(feature)
        return f" {unit}" if unit and unit not in meaning.split() else ""

    def _same(self, same: tuple[str, ...]) -> str:
        return f" (or {' or '.join(map(self.meaning, same))}: here they move as one)" if same else ""


def interval(estimate: Estimate) -> str:
    """For the outside."""
    return _interval(estimate)


def _interval(estimate: Estimate) -> str:
    return f"{_signed(estimate.value)} ({PERCENT} % interval {_signed(estimate.low)} to {_signed(estimate.high)})"


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 or value != round(value) else f"{value:,.0f}"


def _singular(unit: str) -> str:
    if not unit:
        return "unit"
    return unit[:-1] if unit.endswith("s") and not unit.endswith("ss") and len(unit) > 2 else unit
