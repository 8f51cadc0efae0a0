"""CostModel: the published threshold from durations, what an estimate falls back on, and no negative overhead ever."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from drex_runtime.cost_model.model import CostModel
from drex_runtime.cost_model.window import Window
from drex_runtime.errors import LimitError
from drex_runtime.policies.art import art_terms
from drex_runtime.records import CostProfile, LinearCost, SegmentCost, load_profile
from tests.scale import scaled

PUBLISHED = load_profile(Path(__file__).parents[3] / "examples" / "profiles" / "a100-llama2-13b-published.json")
US = 1000  # ns


def test_the_published_numbers_from_durations_alone() -> None:
    """t_f, t_s, t_d = 52.06, 28.63, 42.83 ms at 8 rows, as passes would show them, give c/t_d 0.453 and ART 3.6."""
    model = CostModel(2, 8)
    for part, index, microseconds in (("segment", 1, 28_630), ("ramp", 1, 0), ("rebatch", 1, 0), ("start", 2, 19_400),
                                      ("segment", 2, 23_430)):
        model.observe(part, index, 8, microseconds * US)  # type: ignore[arg-type]
    terms = model.terms(1, 8)
    assert terms is not None
    assert (terms.shallow, terms.deep, terms.full) == (28_630 * US, 42_830 * US, 52_060 * US)
    assert round(float(terms.factor), 3) == 0.453
    assert round(float(8 * terms.factor), 1) == 3.6


def test_it_starts_from_the_profile_and_leaves_it_with_the_first_duration() -> None:
    model = CostModel(2, 8, PUBLISHED)
    assert model.terms(1, 8) == art_terms(PUBLISHED, 1, 8)
    model.observe("start", 2, 3, 0)
    terms = model.terms(1, 8)
    assert terms is not None
    assert terms.factor == Fraction(PUBLISHED.rebatch, PUBLISHED.rebatch + terms.full - terms.shallow)


def test_every_ramp_has_its_own_terms() -> None:
    """K = 2: t_s up to that ramp, t_d from the next segment to the end, the ramps on the way included."""
    profile = CostProfile("deep", (4,), (SegmentCost((10,), 1), SegmentCost((20,), 1), SegmentCost((40,), 1)),
                          (LinearCost(1), LinearCost(2)), (3, 5), rebatch=7)
    model = CostModel(3, 4)
    for part, index, ticks in (("segment", 1, 14), ("segment", 2, 24), ("segment", 3, 44), ("ramp", 1, 1),
                               ("ramp", 2, 2), ("start", 2, 3), ("start", 3, 5), ("rebatch", 1, 7), ("rebatch", 2, 7)):
        model.observe(part, index, 4, ticks)  # type: ignore[arg-type]
    assert [model.terms(ramp, 4) for ramp in (1, 2)] == [art_terms(profile, ramp, 4) for ramp in (1, 2)]


def test_the_live_batch_decides_by_its_own_bucket() -> None:
    profile = replace(PUBLISHED, buckets=(8,))
    model = CostModel(2, 8, profile)
    for rows, ticks in ((1, 5_000), (8, 40_000)):
        model.observe("segment", 2, rows, ticks)
    one, eight = model.terms(1, 1), model.terms(1, 8)
    assert one is not None and eight is not None
    assert one.factor == Fraction(19_400, 24_400)
    assert eight.factor == Fraction(19_400, 59_400)


def test_without_a_profile_the_nearest_bucket_stands_in() -> None:
    model = CostModel(1, 32)
    assert model.estimate("segment", 1, 4) is None
    model.observe("segment", 1, 2, 20)
    assert model.estimate("segment", 1, 16) == 20
    model.observe("segment", 1, 32, 320)
    assert model.estimate("segment", 1, 3) == 320  # the nearest larger one first: dearer, never too cheap
    model.observe("segment", 1, 4, 40)
    assert model.estimate("segment", 1, 3) == 40


def test_a_window_forgets_and_does_not_mind_one_interruption() -> None:
    window = Window(5)
    for ticks in (10, 11, 12, 10**9, 11):
        window.add(ticks)
    assert window.estimate == 11
    for _ in range(5):
        window.add(50)
    assert window.estimate == 50 and len(window) == 5
    with pytest.raises(LimitError, match="backwards"):
        window.add(-1)


def test_a_window_is_the_lower_median_of_its_last_durations() -> None:
    for seed in range(scaled(50, 1000)):
        random = Random(seed)
        size, seen = random.randint(1, 9), list[int]()
        window = Window(size)
        for _ in range(40):
            seen.append(random.randint(0, 6))
            window.add(seen[-1])
            last = sorted(seen[-size:])
            assert window.estimate == last[(len(last) - 1) // 2]


def test_the_overhead_is_never_negative() -> None:
    """Whatever the clock said: c >= 0 and 0 <= c/t_d <= 1. The original's c <= 0, frozen for ever, cannot happen."""
    for seed in range(scaled(200, 5000)):
        random = Random(seed)
        segments, rows = random.randint(2, 4), random.choice((1, 2, 7, 8, 64))
        model = CostModel(segments, rows)
        for _ in range(random.randint(1, 60)):
            part = random.choice(("segment", "ramp", "start", "rebatch"))
            index = random.randint(*{"segment": (1, segments), "ramp": (1, segments - 1), "start": (2, segments),
                                     "rebatch": (1, segments - 1)}[part])
            model.observe(part, index, random.randint(1, rows), random.choice((0, 1, 7, 10**6)))  # type: ignore[arg-type]
        for ramp in range(1, segments):
            terms = model.terms(ramp, random.randint(1, rows))
            if terms is not None:
                assert terms.overhead >= 0
                assert not terms.deep or 0 <= terms.factor <= 1


@pytest.mark.parametrize("rows", [0, 9])
def test_rows_outside_are_refused(rows: int) -> None:
    with pytest.raises(LimitError, match="expected 1 to 8"):
        CostModel(2, 8).observe("segment", 1, rows, 1)
    with pytest.raises(LimitError, match="profile"):
        CostModel(3, 8, PUBLISHED)
