"""What is searched lies within what is declared, and every value is exact."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import optuna
import pytest

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.records import ServerConfig
from drex_runtime.records.numbers import number_text
from tests.generators import random_profile
from tests.xplain.tiny import PROFILE
from xplain.tuning.ranges import SearchRange, search_ranges

VOLUNTARY = [name for name, policy in SHIPPED.items() if policy.keeps_exits_voluntary]


def all_ranges(name: str, segments: int = 2, rows: int = 8) -> list[SearchRange]:
    policy = shipped_policy(name)
    profile = PROFILE if segments == 2 else random_profile(Random(1), segments, rows)
    bound = bind(policy, profile, ServerConfig(rows, rows))
    return search_ranges(policy, tuple(item.name for item in policy.parameters), bound, rows)


@pytest.mark.parametrize("name", VOLUNTARY)
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_whatever_is_suggested_can_be_bound(name: str, segments: int) -> None:
    policy, study = shipped_policy(name), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    ranges = all_ranges(name, segments)
    profile = PROFILE if segments == 2 else random_profile(Random(1), segments, 8)
    for _ in range(40):
        trial = study.ask()
        values = {item.name: item.suggest(trial) for item in ranges}
        for item in ranges:
            low, high = item.parameter.low, item.parameter.high
            assert low is None or values[item.name] >= low
            assert high is None or values[item.name] <= high
            assert not item.parameter.integer or values[item.name].denominator == 1
        found = bind(policy, profile, ServerConfig(8, 8), {name: number_text(v) for name, v in values.items()})
        assert {name: found.values[name] for name in values} == values


@pytest.mark.parametrize("name", VOLUNTARY)
def test_encoding_stays_in_range_and_decodes_to_the_current_value(name: str) -> None:
    for item in all_ranges(name):
        for value in (Fraction(0), Fraction(1, 3), Fraction(1940, 4283), Fraction(7), Fraction(10**9)):
            study = optuna.create_study()
            study.enqueue_trial({item.name: item.encoded(value)})
            suggested = item.suggest(study.ask())
            assert item.low <= suggested <= item.high
            inside = item.low <= value <= item.high
            if inside and (not item.parameter.integer or value.denominator == 1):
                assert abs(suggested - value) <= Fraction(1, 200)
            assert item.decoded(suggested, value) == value


def test_numbers_are_written_so_that_they_read_back_equal() -> None:
    random = Random(0)
    values = [Fraction(0), Fraction(1), Fraction(-1, 8), Fraction(1, 3), Fraction(1940, 4283), Fraction(29, 50)]
    values += [Fraction(random.randint(-10**6, 10**6), random.choice((1, 2, 5, 10, 64, 3, 7, 1000)))
               for _ in range(300)]
    for value in values:
        text = number_text(value)
        assert parse_fraction(text, "test") == value
        assert "/" not in text or value.denominator % 3 == 0 or value.denominator % 7 == 0 or value.denominator == 4283
