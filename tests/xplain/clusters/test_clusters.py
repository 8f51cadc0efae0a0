"""Clusters: two planted defects give two clusters with the two causes, each with a witness a person can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest

from drex_runtime.errors import RecordError
from drex_runtime.policies import shipped_policy
from drex_runtime.policies.expressions import parse_condition
from drex_runtime.policies.text import condition_text
from drex_runtime.records import Request, Workload
from drex_runtime.simulator import simulate
from tests.scale import scaled
from tests.xplain.clusters.two_defects import IDLES, SETTINGS, idling, problem
from xplain.clusters import Cluster, cluster, with_witnesses
from xplain.clusters.witness import MOST_REQUESTS, simpler
from xplain.encodings.exact import solve
from xplain.explain.many import attribute_many
from xplain.problems.exact import ExactProblem
from xplain.records import Attribution, Cause, Predicate, Rate, Region, Sample, Witness
from xplain.regions import find_regions

INSIDE = 40  # workloads attributed per region


@dataclass(frozen=True)
class Found:
    """An analysis up to its clusters."""

    problem: ExactProblem
    samples: Sequence[Sample]
    regions: Sequence[Region]
    attributions: Mapping[str, Sequence[Attribution]]
    clusters: tuple[Cluster, ...]


def analysed(given: ExactProblem, count: int, seed: int = 0) -> Found:
    rng = np.random.default_rng(seed)
    samples = [given.evaluate(given.draw(rng), index, "random") for index in range(count)]
    held = [given.evaluate(given.draw(rng), count + index, "held-out") for index in range(count)]
    regions = find_regions(given, samples, held, given.threshold, seed, subject=given.heuristic.name)
    attributions = {region.name: attributed(given, region, samples) for region in regions}
    return Found(given, samples, regions, attributions, with_witnesses(
        given, cluster(regions, attributions, samples, seed), samples))


def attributed(given: ExactProblem, region: Region, samples: Sequence[Sample]) -> list[Attribution]:
    inside = [item for item in samples if region.holds(item.features)][:INSIDE]
    return [item.attribution for item in attribute_many(
        given.bound, [given.workload(item.point) for item in inside], given.objective,
        samples=[item.index for item in inside], region=region.name)]


@lru_cache(maxsize=1)
def two_defects() -> Found:
    return analysed(problem(idling(), SETTINGS), scaled(160, 600))


def replayed(given: ExactProblem, witness: Witness) -> tuple[int, int]:
    """(policy, optimum) of a witness, found again from what it records."""
    workload = Workload.of(given.profile.num_segments, [
        Request(index, arrival, prompt, depths) for index, (arrival, prompt, depths) in enumerate(
            zip(witness.arrivals, witness.prompts, witness.depths, strict=True))])
    interval = solve(workload, given.profile, given.config, given.objective).interval
    assert interval.proved
    return simulate(given.bound, workload).objective(given.objective), interval.upper


def test_two_defects_two_clusters_two_causes() -> None:
    found = two_defects()
    causes = {(item.kind, item.rule, item.atom) for item in found.clusters}
    assert causes == {("missed", "split", "exits > art_factor*batch"),
                      ("fired", "patience", condition_text(parse_condition(IDLES, "patience")))}
    assert all(item.share > 0.5 and not item.mixed for item in found.clusters)
    assert next(item for item in found.clusters if item.rule == "split").parameters == ("art_factor",)
    named = [part.region for item in found.clusters for part in item.parts]
    assert set(named) == {region.name for region in found.regions}
    assert [item.name for item in found.clusters] == [f"C{k + 1}" for k in range(len(found.clusters))]


def test_each_cluster_has_a_small_witness_of_its_own_cause_and_a_contrast() -> None:
    found = two_defects()
    for item in found.clusters:
        assert item.witness is not None and item.contrast is not None and not item.no_witness
        for witness, loses in ((item.witness, True), (item.contrast.workload, False)):
            assert len(witness.depths) <= MOST_REQUESTS and witness.proved
            heuristic, optimum = replayed(found.problem, witness)
            assert (heuristic - optimum, heuristic, optimum) == (witness.gap, witness.heuristic.objective,
                                                                 witness.optimum.objective)
            assert not loses or witness.relative_gap >= found.problem.threshold
        assert item.rule in item.witness.first_costly and item.witness.counterfactual.startswith("Better")
        assert 1 <= item.contrast.moves <= 3 and item.contrast.change


def test_a_witness_cannot_be_made_simpler() -> None:
    found = two_defects()
    for item in found.clusters:
        assert item.witness is not None
        small = Workload.of(2, [Request(index, arrival, 0, depths) for index, (arrival, depths) in enumerate(
            zip(item.witness.arrivals, item.witness.depths, strict=True))])
        for _, candidate in simpler(small):
            one = attribute_many(found.problem.bound, [candidate], found.problem.objective)[0]
            own = sum(cause.ticks for cause in one.attribution.causes
                      if (cause.kind, cause.rule) == (item.kind, item.rule))
            assert one.relative_gap < found.problem.threshold or 2 * own <= one.attribution.gap


def test_the_same_seed_gives_the_same_clusters() -> None:
    found = two_defects()
    again = with_witnesses(found.problem, cluster(found.regions, found.attributions, found.samples, 0), found.samples)
    assert again == found.clusters


def test_the_shipped_policy_yields_what_it_yields() -> None:
    """Whatever that is: shares sum to one, and where there is no witness there is a reason."""
    found = analysed(problem(shipped_policy("drex"), {}), 80)
    for item in found.clusters:
        assert abs(sum(cause.share for cause in item.causes) - 1) < 0.1  # what is under one per cent is left out
        assert (item.witness is None) == bool(item.no_witness)
    assert {part.region for item in found.clusters for part in item.parts} <= {item.name for item in found.regions}


RATE = Rate(1.0, 0.9, 1.0, 10)


def _region(name: str, *predicates: Predicate) -> Region:
    return Region(name, "exact", predicates, name, RATE, RATE, RATE, 0.2, 0.01, True, -1)


def _sample(index: int, gap: int = 10, **features: float) -> Sample:
    return Sample(index, "exact", "random", {}, dict(features), 100 + gap, 100, 100)


def _attribution(sample: int, **ticks: int) -> Attribution:
    causes = tuple(Cause("missed", rule, f"{rule} holds", (rule,), amount, 1, 0.0) for rule, amount in ticks.items())
    return Attribution(sample, "", "clairvoyant", sum(ticks.values()), causes, True)


def test_a_region_that_mixes_causes_is_split_along_its_features() -> None:
    samples = [_sample(k, load=float(k), noise=float(k * 7 % 10)) for k in range(40)]
    given = {"R1": [_attribution(k, **({"flush": 9, "split": 1} if k < 18 else {"flush": 2, "split": 8}))
                    for k in range(40)]}
    found = cluster([_region("R1")], given, samples, 0)
    assert [(item.rule, len(item.samples)) for item in found] == [("split", 22), ("flush", 18)]
    assert [part.split for item in found for part in item.parts] == [
        (Predicate("load", ">", 17.5),), (Predicate("load", "<=", 17.5),)]


def test_causes_that_no_feature_tells_apart_stay_together() -> None:
    samples = [_sample(k, load=float(k * 7 % 40)) for k in range(40)]
    given = {"R1": [_attribution(k, **({"flush": 10} if (k * 5) % 3 % 2 else {"split": 10})) for k in range(40)]}
    (found,) = cluster([_region("R1")], given, samples, 0)
    assert found.parts[0].split == () and len(found.causes) == 2


def test_regions_apart_with_one_cause_are_one_cluster() -> None:
    samples = [_sample(k, load=float(k)) for k in range(30)]
    low, high = _region("R1", Predicate("load", "<=", 9)), _region("R2", Predicate("load", ">", 19))
    given = {"R1": [_attribution(k, flush=9, split=1) for k in range(10)],
             "R2": [_attribution(k, flush=800, split=200) for k in range(20, 30)]}  # shares count, not ticks
    (found,) = cluster([low, high], given, samples, 0)
    assert [part.region for part in found.parts] == ["R1", "R2"] and found.rule == "flush"
    assert found.share == pytest.approx(0.85)


def test_workloads_without_a_gap_and_regions_without_a_loss_are_left_out() -> None:
    samples = [_sample(k, gap=k % 2, load=1.0) for k in range(10)]
    given = {"R1": [_attribution(k, flush=k % 2) for k in range(10)], "R2": [_attribution(0)]}
    (found,) = cluster([_region("R1"), _region("R2"), _region("R3")], given, samples, 0)
    assert found.samples == (1, 3, 5, 7, 9) and [part.region for part in found.parts] == ["R1"]
    assert cluster([], {}, (), 0) == () and cluster([_region("R2")], given, samples, 0) == ()


def test_what_is_gained_on_a_reference_is_no_cause() -> None:
    gains = replace(_attribution(0, flush=30), gap=10)
    gains = replace(gains, causes=(*gains.causes, Cause("gain", "decode", "", (), -20, 4, -2.0)))
    (found,) = cluster([_region("R1")], {"R1": [gains]}, [_sample(0, load=1.0)], 0)
    assert (found.rule, found.share) == ("flush", 1.0)


def test_only_row_selection_to_blame_means_no_rule_and_no_witness() -> None:
    given = problem(shipped_policy("drex"), {})
    order = Attribution(0, "", "clairvoyant", 10, (Cause("order", "decode", "", (), 10, 1, 1.0),), True)
    (found,) = with_witnesses(given, cluster([_region("R1")], {"R1": [order]}, [_sample(0, load=1.0)], 0), ())
    assert found.kind == "order" and found.witness is None and "no rule" in found.no_witness


def test_an_attribution_without_its_sample_is_refused() -> None:
    with pytest.raises(RecordError, match="sample = 3"):
        cluster([_region("R1")], {"R1": [_attribution(3, flush=1)]}, [_sample(0)], 0)
