"""Loosen a description of workloads as far as it keeps its promise: drop conditions, move bounds, verify again.

What keeps the promise is a callable: an enumeration, a solver, a sample. First whole bounds are dropped, the first that
can go each time; then each remaining bound is moved outwards over the given values, as far as it goes (by bisection:
the next value was verified to break the promise). The result is one maximal description, not the only one.
Source: FPerf (NSDI 2023), generalising a workload; here also for statistical promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from drex_runtime.errors import InputError
from xplain.generalise.record import Checked, Loosened, Trial
from xplain.records import Evidence, Predicate

Conditions = tuple[Predicate, ...]
Verify = Callable[[Conditions], Checked]
Describe = Callable[[Predicate], str]
LOOKS = 3  # descriptions that are confirmed at most


def loosen(start: Conditions, values: Mapping[str, Sequence[float]], verify: Verify, *, promise: str,
           confirm: Verify | None = None, describe: Describe | None = None) -> Loosened:
    """`values`: by feature, where its bounds may lie. `promise` in words: "every workload loses at least 3 ms".

    `confirm`: a verifier that has seen nothing of the search (fresh samples); if the result fails there, the last
    accepted description that passes is returned. What cannot be told is not accepted. Raises InputError for a bound
    on a feature without values.
    """
    for predicate in start:
        if predicate.feature not in values:
            raise InputError("loosen", "values", predicate.feature, "values for every feature with a bound")
    say = describe or _plainly
    first = verify(start)
    if first.holds is not True:
        return Loosened(start, None, first, (), f"not even the start keeps it: {promise} ({first.text})")
    search = _Search(verify, say)
    found: Conditions | None = _moved(search, _dropped(search, start), values)
    accepted = [start, *(trial.predicates for trial in search.trials if trial.checked.holds)]
    final = next((trial.checked for trial in reversed(search.trials) if trial.predicates == found), first)
    if confirm is not None:
        found, final = _confirmed(accepted, confirm)
    words = _sentence(found, final, promise, say)
    return Loosened(start, found, final, tuple(search.trials), words)


def loosest(start: Conditions, values: Mapping[str, Sequence[float]], verify: Verify, *, promise: str, orders: int = 8,
            seed: int = 0, confirm: Verify | None = None, describe: Describe | None = None) -> Loosened:
    """The widest of several maximal descriptions: conditions are tried in as many seeded orders.

    Widest: the largest share of workloads, where the verifier counts it (a proof); else the fewest conditions.
    """
    known = dict[frozenset[Predicate], Checked]()

    def once(conditions: Conditions) -> Checked:
        key = frozenset(conditions)
        if key not in known:
            known[key] = verify(conditions)
        return known[key]

    rng, found = np.random.default_rng([seed, 15_487_469]), list[Loosened]()
    for number in range(max(1, orders)):
        order = rng.permutation(len(start)) if number else np.arange(len(start))
        found.append(loosen(tuple(start[k] for k in order), values, once, promise=promise, describe=describe))
        if found[-1].predicates is None:
            break
    best = max(found, key=_width)
    if confirm is None or best.predicates is None:
        return best
    return loosen(best.start, values, once, promise=promise, confirm=confirm, describe=describe)


def _width(found: Loosened) -> tuple[float, int]:
    share = found.final.rate.value if found.final.evidence is Evidence.PROVED and found.final.rate else 0.0
    return share, -len(found.predicates or found.start)


class _Search:
    """Verifies looser descriptions and writes down what was tried."""

    def __init__(self, verify: Verify, say: Describe) -> None:
        self._verify, self.say, self.trials = verify, say, list[Trial]()

    def holds(self, change: str, conditions: Conditions) -> bool:
        """Whether the promise is kept; unknown is no."""
        checked = self._verify(conditions)
        self.trials.append(Trial(change, conditions, checked))
        return checked.holds is True


def _dropped(search: _Search, conditions: Conditions) -> Conditions:
    """Without conditions that are not needed."""
    at = 0
    while at < len(conditions):
        fewer = conditions[:at] + conditions[at + 1:]
        if search.holds(f"without: {search.say(conditions[at])}", fewer):
            conditions, at = fewer, 0  # where a promise is statistical, one that could not go before may go now
        else:
            at += 1
    return conditions


def _moved(search: _Search, conditions: Conditions, values: Mapping[str, Sequence[float]]) -> Conditions:
    """With bounds as far out as they go, round after round until nothing moves."""
    while True:
        before = conditions
        for at in range(len(conditions)):
            conditions = _moved_one(search, conditions, at, values)
        if conditions == before:
            return conditions


def _moved_one(search: _Search, conditions: Conditions, at: int, values: Mapping[str, Sequence[float]]) -> Conditions:
    old = conditions[at]
    looser = sorted({float(value) for value in values[old.feature]
                     if (value > old.bound if old.relation == "<=" else value < old.bound)},
                    reverse=old.relation == ">")

    def moved(steps: int) -> Conditions:
        bound = Predicate(old.feature, old.relation, looser[steps - 1])
        return (*conditions[:at], bound, *conditions[at + 1:])

    holds, fails = 0, len(looser) + 1  # all the way out is no bound at all: that was tried as dropping it
    while fails - holds > 1:
        middle = (holds + fails) // 2
        if search.holds(f"{search.say(old)} -> {search.say(moved(middle)[at])}", moved(middle)):
            holds = middle
        else:
            fails = middle
    return moved(holds) if holds else conditions


def _confirmed(accepted: list[Conditions], confirm: Verify) -> tuple[Conditions | None, Checked]:
    """The last of the accepted ones that a fresh look confirms. Every look could err, so only a few are taken (and a
    verifier that works with confidence is built for so many)."""
    for conditions in list(dict.fromkeys(reversed(accepted)))[:LOOKS]:
        checked = confirm(conditions)
        if checked.holds is True:
            return conditions, checked
    return None, checked


def _sentence(found: Conditions | None, final: Checked, promise: str, say: Describe) -> str:
    if found is None:
        return f"not confirmed: {promise} ({final.text})"
    where = f"where {' and '.join(map(say, found))}" if found else "everywhere"
    return f"{where}: {promise} ({final.evidence.value}: {final.text})"


def _plainly(predicate: Predicate) -> str:
    return f"{predicate.feature} {predicate.relation} {predicate.bound:g}"
