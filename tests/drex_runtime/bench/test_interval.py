"""The interval of a median holds it as often as it says, whatever the distribution; too few rounds are named."""

from __future__ import annotations

import numpy as np
import pytest

from drex_runtime.bench.interval import MedianInterval, level_of, median_interval, rounds_needed
from drex_runtime.bench.tables import interval_text, level_text


@pytest.mark.parametrize(("rounds", "rank", "level"), [
    (5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9921875), (9, 2, 0.9609375), (12, 3, 0.96142578125),
    (15, 4, 0.96484375), (20, 6, 0.9586105)])
def test_levels_are_those_of_the_binomial_table(rounds: int, rank: int, level: float) -> None:
    found = median_interval([float(value) for value in range(1, rounds + 1)])
    assert (found.low, found.high) == (rank, rounds + 1 - rank)
    assert found.level == pytest.approx(level) == level_of(rounds, rank)


def test_it_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    draws = rng.lognormal(0.0, 1.5, size=(4000, 9))  # median 1, mean 3: what a normal interval would get wrong
    held = sum(found.low <= 1 <= found.high for found in map(median_interval, draws.tolist()))
    assert held / 4000 == pytest.approx(level_of(9, 2), abs=0.015)


def test_too_few_rounds_give_the_widest_interval_and_say_so() -> None:
    five = median_interval([1.2, 0.9, 1.0, 0.8, 1.1])
    assert five == MedianInterval(0.8, 1.2, 0.9375) and not five.enough_rounds
    assert rounds_needed() == 6 and "95% needs 6 or more" in level_text(5) and "needs" not in level_text(6)
    one = median_interval([0.5])
    assert one.level == 0 and not one.excludes(1.0) and interval_text(one) == "-" and "one round" in level_text(1)


def test_one_is_told_apart_only_where_the_interval_excludes_it() -> None:
    assert median_interval([0.96, 0.97, 0.97, 0.98, 0.98, 0.99]).excludes(1.0)
    assert not median_interval([0.75, 0.97, 0.97, 0.98, 0.98, 1.2]).excludes(1.0)
