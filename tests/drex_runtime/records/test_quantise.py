"""A quantised profile never costs less, is off by less than a quantum per charge, and has small numbers."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from drex_runtime.errors import RecordError
from drex_runtime.records import load_profile
from drex_runtime.records.quantise import costs, quantised, rounding_error, unit
from tests.generators import random_profile
from tests.scale import scaled

DEMO = Path(__file__).parents[3] / "drex_runtime" / "data" / "profiles" / "demo-cpu.json"


def test_costs_are_rounded_up_to_multiples() -> None:
    for seed in range(scaled(50, 500)):
        random = Random(f"quantum {seed}")
        profile = random_profile(random, random.randint(1, 3), 4, scale=4)
        quantum, rows = random.randint(1, 9), random.randint(1, 4)
        rounded = quantised(profile, quantum, rows)
        assert all(cost % quantum == 0 for cost in costs(rounded)) and unit(rounded) % quantum == 0
        for s in range(1, profile.num_segments + 1):
            for b in range(1, rows + 1):
                assert 0 <= rounded.segment_cost(s, b, 0) - profile.segment_cost(s, b, 0) < quantum
        for one, other in zip(costs(profile)[-5:], costs(rounded)[-5:], strict=True):
            assert 0 <= other - one < quantum


def test_a_measured_profile_gets_small_numbers_and_states_its_error() -> None:
    profile = load_profile(DEMO)
    rounded = quantised(profile, 10_000, 4)
    assert max(costs(rounded)) // unit(rounded) < 1000
    assert 0 < rounding_error(profile, rounded, 8) < 0.1
    assert "multiples of 10000 ns" in rounded.meta.note
    assert quantised(profile, 1, 4) == profile


@pytest.mark.parametrize(("quantum", "rows", "said"), [(0, 1, "quantum"), (5, 0, "rows"), (5, 10**6, "rows")])
def test_what_cannot_be_is_refused(quantum: int, rows: int, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        quantised(load_profile(DEMO), quantum, rows)
