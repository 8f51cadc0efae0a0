"""The best set of regions for each number of predicates: against exhaustive search, known shapes, odd inputs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pydantic import TypeAdapter

from drex_runtime.errors import InputError
from tests.scale import scaled
from tests.xplain.regions.test_evidence import in_cube
from tests.xplain.regions.test_find import THRESHOLD
from tests.xplain.synthetic import planted
from xplain.records import Sample
from xplain.regions import Options, RegionSearch, SizePoint, find_regions_with_evidence
from xplain.regions.box import Box
from xplain.regions.refine import Sorted
from xplain.regions.short import Bounds
from xplain.regions.table import Table


def table_of(seed: int, count: int = 60, features: int = 3) -> Table:
    rng = np.random.default_rng(seed)
    values = np.round(rng.random((count, features)), 1)  # ties
    bad = (values[:, 0] > 0.4) & (values[:, 1] <= 0.6) ^ (rng.random(count) < 0.1)
    return Table(tuple("abc"[:features]), values, bad.astype(float), bad, np.ones(count), np.arange(count),
                 np.zeros(features, dtype=bool))


@pytest.mark.parametrize("seed", range(scaled(3, 30, "tables on which all short boxes are tried")))
def test_boxes_of_one_and_two_predicates_are_the_best_there_are(seed: int) -> None:
    table = table_of(seed)
    gains = np.where(table.bad, 0.6, -0.4)
    everything = Box.everything(3)
    singles = [everything.with_bound(k, side, bound) for k in range(3) for side in ("low", "high")
               for bound in np.unique(table.values[:, k])[:-1].tolist()]

    def worth(box: Box) -> float:
        return float(gains[box.inside(table.values)].sum())

    pairs = [Box(tuple(np.maximum(one.lows, other.lows).tolist()), tuple(np.minimum(one.highs, other.highs).tolist()))
             for one, other in combinations(singles, 2)]
    found = Bounds(table, Sorted.of(table), np.zeros(3)).beam(gains, 2, 8)
    assert found[0][0].worth == pytest.approx(max(map(worth, singles)))
    assert found[1][0].worth == pytest.approx(max(worth(box) for box in pairs if box.size == 2))
    for level, size in zip(found, (1, 2), strict=True):
        assert all(short.box.size == size and short.worth == pytest.approx(worth(short.box)) for short in level)


@pytest.mark.parametrize(("shape", "least"), [("two boxes", {2: 0.7, 4: 0.96}), ("L", {2: 0.8, 3: 0.8, 4: 0.96}),
                                              ("half-space", {1: 0.95})])
def test_shorter_sets_of_known_shapes_keep_most_of_them(shape: str, least: dict[int, float]) -> None:
    """On an L the square around it and one sum are three predicates, which is as short as PRIM gets, and better."""
    for seed in range(50, 50 + scaled(1, 8)):
        problem, samples, fresh = in_cube(planted(shape, seed), seed)
        found = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, seed, options=Options(linear=2))
        points = found.sizes
        assert [point.predicates for point in points] == sorted({point.predicates for point in points})
        assert points[0].predicates == 0 and points[0].regions == ((),) and points[0].coverage.value == 1.0
        for size, f1 in least.items():
            assert max(point.f1 for point in points if point.predicates <= size) > f1, (shape, seed, size)
        (own,) = [point for point in points if point.reported]
        assert set(own.regions) == {region.predicates for region in found.regions}
        assert (own.precision, own.coverage) == (found.unions[-1].precision, found.unions[-1].coverage)


def held(point: SizePoint, sample: Sample) -> bool:
    return any(all(predicate.holds(sample.features) for predicate in region) for region in point.regions)


def test_points_are_scored_on_the_fresh_samples_and_stored() -> None:
    problem, samples, fresh = in_cube(planted("two boxes", 60), 60, 500)
    found = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 60)
    bad = [sample for sample in fresh if sample.relative_gap >= THRESHOLD]
    for point in found.sizes:
        inside = [sample for sample in fresh if held(point, sample)]
        both = sum(held(point, sample) for sample in bad)
        assert (point.coverage.value, point.coverage.of) == (both / len(bad), len(bad))
        assert (point.precision.of, point.predicates) == (len(inside), sum(map(len, point.regions)))
    adapter = TypeAdapter(RegionSearch)
    assert adapter.validate_json(adapter.dump_json(found)) == found
    assert find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 60).sizes == found.sizes


def test_without_a_region_there_is_nothing_to_shorten() -> None:
    problem, samples, fresh = in_cube(lambda point: 0.0, 0, 200)
    assert find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 0).sizes == ()


def test_a_loss_everywhere_needs_no_predicate() -> None:
    problem, samples, fresh = in_cube(lambda point: 0.2, 0, 200)
    (point,) = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 0).sizes
    assert point.predicates == 0 and point.reported and point.f1 == 1.0


def test_one_dimension_and_no_sizes() -> None:
    problem, samples, fresh = in_cube(lambda point: 0.2 * (0.3 < point["x1"] <= 0.6), 0, 300, 1)
    points = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 0).sizes
    assert [point.predicates for point in points] == [0, 1, 2]
    only = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, 0, options=Options(sizes=0)).sizes
    assert [point.predicates for point in only] == [0, 2] and only[-1].reported
    with pytest.raises(InputError, match="sizes"):
        Options(sizes=40)
