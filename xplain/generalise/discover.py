"""Test the whole grammar on the instances set aside for searching; correct over everything tested.

An interaction that another, stronger one explains is left out: of f and g that act together both orders are found, and
whatever moves with g is found too. Source: Holm (1979).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xplain.generalise.hypotheses import Bench, Hypothesis
from xplain.generalise.test import Null
from xplain.regions.score import holm
from xplain.regions.table import Floats


@dataclass(frozen=True)
class Found:
    """A tested hypothesis: sign and cut of its largest column, its p-value alone and corrected over all tests."""

    hypothesis: Hypothesis
    sign: int
    cut: float | None
    p_value: float
    corrected: float = 1.0


def grammar(names: tuple[str, ...]) -> list[Hypothesis]:
    """Every hypothesis over these features."""
    return [*(Hypothesis("trend", name) for name in names), *(Hypothesis("step", name) for name in names),
            *(Hypothesis("interaction", name, other) for name in names for other in names if name != other)]


def most_permutations(tests: int, level: float) -> int:
    """Enough that a single p-value can pass the correction four times over."""
    return int(4 * max(1, tests) / level) + 1


def discover(bench: Bench) -> list[Found]:
    """All hypotheses over the bench's features, in the order of `grammar`."""
    tested = [found for name in bench.names for found in _mains(bench, name)]
    order = {hypothesis: place for place, hypothesis in enumerate(grammar(bench.names))}
    tested += [_tested(bench, hypothesis) for hypothesis in order if hypothesis.kind == "interaction"]
    tested.sort(key=lambda found: order[found.hypothesis])
    corrected = holm([found.p_value for found in tested])
    return [replace(found, corrected=p) for found, p in zip(tested, corrected, strict=True)]


def strongest_interactions(bench: Bench, tested: list[Found], level: float) -> list[Found]:
    """Those that pass on their own, and beside those that passed before them (the smallest p-value first)."""
    passing = sorted((found for found in tested if found.hypothesis.kind == "interaction" and found.corrected <= level),
                     key=lambda found: found.p_value)
    kept, beside = list[Found](), list[Floats]()
    for found in passing:
        if kept:
            null = bench.null(found.hypothesis, np.column_stack(beside))
            again = null.test(bench.columns(found.hypothesis, np.array([found.cut])), found.sign)
            if again.p_value * len(tested) > level:
                continue
        kept.append(found)
        beside.append(bench.columns(found.hypothesis, np.array([found.cut])))
    return kept


def _mains(bench: Bench, name: str) -> list[Found]:
    """Trend and step of one feature share their controls and permutations."""
    null = bench.null(Hypothesis("trend", name))
    return [_judged(bench, hypothesis, null) for hypothesis in (Hypothesis("trend", name), Hypothesis("step", name))]


def _tested(bench: Bench, hypothesis: Hypothesis) -> Found:
    return _judged(bench, hypothesis, bench.null(hypothesis))


def _judged(bench: Bench, hypothesis: Hypothesis, null: Null) -> Found:
    at = bench.cuts(hypothesis)
    found = null.test(bench.columns(hypothesis, at))
    return Found(hypothesis, 1 if found.statistic >= 0 else -1, float(at[found.column]) if len(at) else None,
                 found.p_value)
