"""A profile fitted to points that obey the cost model is that cost model; launches are split into its costs."""

from __future__ import annotations

import numpy as np

from drex_runtime.execution.statistics import PartTime
from drex_runtime.profiling.fit import condensed, fit_profile, predicted
from drex_runtime.profiling.measure import Plan, Point, launch_points
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost

BATCHES = (1, 2, 4, 8, 16)
TRUTH = CostProfile("truth", BATCHES, (SegmentCost((100_000,) * 5, 5_000, 20), SegmentCost((80_000,) * 5, 4_000, 15)),
                    (LinearCost(30_000, 500),), (25_000,), 4_000, LinearCost(2_000, 700),
                    PrefillCost(150_000, 9_000, 12))


def points_of(profile: CostProfile, noise: float = 0.0, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    found = []
    for rows in BATCHES:
        kinds = [("ramp", 1, rows, 0), ("start", 2, rows, 0), ("rebatch", 1, rows, 0), ("fill", 1, rows, 0)]
        for context in (8, 64, 192):
            kinds += [("segment", 1, rows, rows * context), ("segment", 2, rows, rows * context),
                      ("prefill", 0, rows * context, 0), ("prefill", 0, context, context * context)]
        found += [Point(*kind, 0) for kind in kinds]
    return [Point(p.kind, p.segment, p.rows, p.context,
                  round(predicted(profile, p) * float(np.exp(rng.normal(0, noise))))) for p in found for _ in range(5)]


def fitted(points: list[Point]) -> CostProfile:
    return fit_profile(points, Plan(BATCHES), name="fit", model="m", num_segments=2, dtype="float32", rounds=5)


def test_points_of_the_cost_model_are_fitted_exactly() -> None:
    profile = fitted(points_of(TRUTH))
    assert profile.meta.fit_error is not None and profile.meta.fit_error < 1e-3
    assert profile.starts == TRUTH.starts and profile.rebatch == TRUTH.rebatch
    for rows in (1, 3, 5, 16):
        for segment in (1, 2):
            want, got = (item.segment_cost(segment, rows, 40 * rows) for item in (TRUTH, profile))
            assert abs(got - want) <= 0.01 * want


def test_noisy_points_still_give_costs_that_never_decrease_with_rows() -> None:
    for seed in range(20):
        profile = fitted(points_of(TRUTH, noise=0.4, seed=seed))
        for segment in (1, 2):
            costs = [profile.segment_cost(segment, rows, 0) for rows in range(1, 17)]
            assert costs == sorted(costs) and costs[0] > 0


def test_a_batch_size_that_was_dear_by_accident_does_not_break_the_profile() -> None:
    points = [Point(p.kind, p.segment, p.rows, p.context, p.ns * 4 if p.rows == 2 else p.ns) for p in points_of(TRUTH)]
    profile = fitted(points)
    assert profile.segment_cost(1, 4, 0) >= profile.segment_cost(1, 2, 0)


def test_condensing_takes_medians() -> None:
    points = [Point("ramp", 1, 4, 0, ns) for ns in (5, 1, 100)]
    assert condensed(points) == [Point("ramp", 1, 4, 0, 5)]


def test_every_nanosecond_of_a_launch_is_charged_once() -> None:
    parts = [PartTime("decision", 1, 0, 0, 0, 10), PartTime("start", 1, 1, 4, 0, 20),
             PartTime("segment", 1, 1, 4, 40, 300), PartTime("ramp", 1, 1, 4, 0, 50),
             PartTime("emit", 1, 1, 1, 0, 7), PartTime("rebatch", 1, 1, 3, 0, 5)]
    points = launch_points(parts, 400, 2)
    assert sum(point.ns for point in points) == 400
    assert {point.kind: point.ns for point in points} == {"segment": 338, "ramp": 50, "fill": 7, "rebatch": 5}


def test_set_up_of_a_deeper_launch_is_its_start() -> None:
    parts = [PartTime("decision", 2, 0, 0, 0, 10), PartTime("start", 2, 2, 3, 0, 20),
             PartTime("segment", 2, 2, 3, 30, 200), PartTime("emit", 2, 2, 3, 0, 9)]
    points = launch_points(parts, 250, 2)
    assert {point.kind: point.ns for point in points} == {"start": 41, "segment": 209}
