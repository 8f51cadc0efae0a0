"""Intervals and tests against known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.scale import scaled
from xplain.regions.score import holm, paired_test, wilson
from xplain.regions.table import Table


@pytest.mark.parametrize(("successes", "of"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 400), (399, 400)])
def test_wilson_interval_equals_scipys(successes: int, of: int) -> None:
    rate = wilson(successes, of)
    expected = binomtest(successes, of).proportion_ci(0.95, method="wilson")
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high))


def test_wilson_of_nothing_says_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_holm_known_values_and_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def table(values: np.ndarray, gaps: np.ndarray) -> Table:
    return Table(("x",), values.reshape(-1, 1), gaps, gaps >= 0.05, np.ones(len(gaps)), np.arange(len(gaps)),
                 np.array([False]))


def test_partners_are_the_nearest_and_nobody_is_used_twice() -> None:
    values = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    inside = values < 0.35
    found = paired_test(table(values, values), inside, ~inside, 0)
    assert found.pairs == 4
    assert found.unpaired == 0
    assert found.effect == pytest.approx(np.mean([0, 0.1, 0.2, 0.3]) - np.mean([0.4, 0.5, 0.6, 0.7]))


def test_more_points_inside_than_outside_are_reported_unpaired() -> None:
    values = np.arange(20) / 20
    inside = values < 0.69
    found = paired_test(table(values, -values), inside, ~inside, 0)
    assert (found.pairs, found.unpaired) == (6, 8)


def test_the_p_value_is_uniform_enough_under_no_difference() -> None:
    runs = scaled(200, 2000)
    small = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        values, gaps = rng.random(120), rng.normal(size=120) * (rng.random(120) < 0.6)
        inside = values < 0.4
        small += paired_test(table(values, gaps), inside, ~inside, seed).p_value < 0.05
    assert small / runs < 0.09
