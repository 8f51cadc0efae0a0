"""Test the whole grammar on the instances set aside for searching; correct over everything tested.

Half of the level goes to trends and steps, half to interactions, of which there are many more. An interaction that a
stronger one explains is left out: of f and g that act together both orders are found, and whatever moves with g is
found too. Source: Holm (1979), weighted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xplain.generalise.controls import MOST_DEGREE, basis, scores
from xplain.generalise.effects import unexplained
from xplain.generalise.hypotheses import FINE, Bench, Hypothesis, around
from xplain.generalise.interactions import QUALITATIVE, sides
from xplain.generalise.select import MAINS, Found, Selected, judged, select
from xplain.regions.score import holm
from xplain.regions.table import Floats

HALVES = 2  # what a p-value is multiplied by because each half of the grammar has half of the level


@dataclass(frozen=True)
class Discovered:
    """Main effects (see `Selected`; their p-values corrected over everything), all interactions, those to confirm."""

    mains: Selected
    interactions: tuple[Found, ...]
    strongest: tuple[Found, ...]

    def smallest_p(self, feature: str) -> float:
        """Of all tests about what the feature does, corrected."""
        return min(found.corrected for found in (*self.mains.found[feature].values(), *self.interactions)
                   if found.hypothesis.feature == feature)


def num_tests(names: tuple[str, ...]) -> int:
    """Hypotheses in the grammar over these features."""
    return len(MAINS) * len(names) + len(names) * (len(names) - 1)


def most_permutations(names: tuple[str, ...], level: float) -> int:
    """Enough that a single p-value can pass the correction four times over."""
    tests = max(len(MAINS) * len(names), len(names) * (len(names) - 1), 1)
    return int(4 * HALVES * tests / level) + 1


def discover(bench: Bench, level: float) -> Discovered:
    """Everything over the bench's features."""
    mains = select(bench, level / HALVES)
    mains = replace(mains, found={name: {kind: _weighted(found) for kind, found in by.items()}
                                  for name, by in mains.found.items()})
    given = bench.keeping(mains.kept)
    null = given.null_of_interactions()
    tested = [judged(given, Hypothesis("interaction", name, other), null)
              for name in bench.names for other in bench.names if name != other]
    corrected = holm([found.p_value for found in tested])
    interactions = [_weighted(replace(found, corrected=p)) for found, p in zip(tested, corrected, strict=True)]
    return Discovered(mains, tuple(interactions), tuple(_strongest(given, interactions, level)))


def _strongest(bench: Bench, tested: list[Found], level: float) -> list[Found]:
    """One per pair of features, if it passes on its own, and beside those that passed before it (largest first)."""
    kept, beside = list[Found](), list[Floats]()
    for found in _one_per_pair(bench, [found for found in tested if found.corrected <= level]):
        column = bench.columns(found.hypothesis, np.array([found.cut]))
        if beside:
            again = bench.null_of_interactions(np.column_stack(beside)).test(column, found.sign)
            if again.p_value * len(tested) * HALVES > level:
                continue
        if not _rivalled(bench, found, column, level / HALVES):
            kept.append(found)
            beside.append(column)
    return kept


def _rivalled(bench: Bench, found: Found, column: Floats, level: float) -> bool:
    """Whether some third feature in the place of either would do as well (what moves with g decides like g), or a bend
    in one of the two alone."""
    names = found.hypothesis.feature, found.hypothesis.other
    bends = [basis(bench.column(name), MOST_DEGREE) for name in names]
    own = [scores(bench.column(name)) for name in names]
    for name in bench.names:
        if name not in names:
            third = scores(bench.column(name))
            null = bench.null_of_interactions(np.column_stack([*bends, *(each * third for each in own)]))
            if null.test(column, found.sign).p_value > level:
                return True
    return False


def _one_per_pair(bench: Bench, passing: list[Found]) -> list[Found]:
    """If f acts differently where g <= c, then g acts differently where f is large or small: which of them is the
    sentence? The one with an effect in one part only, or opposite ones, if just one of them is like that."""
    pairs = dict[frozenset[str], list[Found]]()
    for found in (_refined(bench, found) for found in passing):
        pairs.setdefault(frozenset((found.hypothesis.feature, found.hypothesis.other)), []).append(found)

    def worth(found: Found) -> tuple[bool, float]:
        shown = sides(bench, found.hypothesis.feature, found.hypothesis.other, float(found.cut or 0.0))
        return shown is not None and shown.kind in QUALITATIVE, found.size

    best = [max(orders, key=worth) for orders in pairs.values()]
    return sorted(best, key=lambda found: -found.size)


def _refined(bench: Bench, found: Found) -> Found:
    """With the best of many cuts; the p-value stays that of the test."""
    at = bench.cuts(found.hypothesis, FINE)
    feature, other = bench.column(found.hypothesis.feature), bench.column(found.hypothesis.other)
    rest = unexplained(bench.response, lambda cut: around(feature, other, cut), at, bench.everything())
    return replace(found, cut=float(at[rest.argmin()]))


def _weighted(found: Found) -> Found:
    return replace(found, corrected=min(1.0, HALVES * found.corrected))
