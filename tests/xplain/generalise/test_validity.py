"""The test is valid where scatter grows with the cause: p-values are small as rarely as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scale import scaled
from xplain.generalise.hypotheses import Bench, Hypothesis, Kind
from xplain.generalise.table import Drawn
from xplain.generalise.test import Shuffles

COUNT = 120


def drawn(seed: int, power: float) -> Drawn:
    """The gap is 16 per link and scatters with length^power; `km` moves with the length and does nothing."""
    rng = np.random.default_rng([seed, 11])
    length = rng.integers(2, 7, COUNT).astype(np.float64)
    km = np.array([rng.uniform(1, 1000, int(each)).sum() for each in length])
    response = 16 * length + 20 * (length / 4)**power * rng.normal(size=COUNT)
    return Drawn(("length", "km", "age"), np.column_stack([length, km, rng.random(COUNT)]), response)


@pytest.mark.parametrize(("feature", "kind"), [("km", "step"), ("km", "trend"), ("age", "step")])
@pytest.mark.parametrize("power", [1, 3])
def test_of_decoys_beside_a_cause_with_unequal_scatter_few_look_significant(feature: str, kind: Kind, power: int
                                                                            ) -> None:
    runs, small = scaled(150, 2000), 0
    for seed in range(runs):
        bench = Bench(drawn(seed, power), ("length", "km", "age"), Shuffles(COUNT, (seed, 2)), 1000, ("length",))
        hypothesis = Hypothesis(kind, feature)
        small += bench.null(feature).test(bench.columns(hypothesis, bench.cuts(hypothesis))).p_value <= 0.05
    assert small / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_the_cause_is_seen_whatever_the_scatter() -> None:
    for power in (0, 1, 3):
        bench = Bench(drawn(0, power), ("length", "km", "age"), Shuffles(COUNT, (0, 2)), 1000, ())
        null = bench.null("length")
        assert null.test(bench.columns(Hypothesis("trend", "length"), np.zeros(0)), 1).p_value < 0.01
