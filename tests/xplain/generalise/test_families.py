"""The shipped families. Demand pinning: the gap grows with the pinned demand's path, and no decoy matters."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from drex_runtime.errors import InputError, LimitError
from tests.scale import scaled
from xplain.generalise import Generalisation, generalise, generalised
from xplain.generalise.families.demand_pinning import DECOYS, DemandPinningFamily
from xplain.generalise.families.ee_scheduling import EESchedulingFamily
from xplain.generalise.families.first_fit import FirstFitFamily, Packing
from xplain.generalise.generalise import words_of
from xplain.generalise.null import Unrelated, shuffled
from xplain.generalise.table import Drawn, drawn_of

COUNT = 80
FAMILY = DemandPinningFamily(effort=5)


@pytest.fixture(scope="module")
def pinning() -> Generalisation:
    return generalise(FAMILY, instances=COUNT, held_out=COUNT, seed=0)


def halves(found: Generalisation) -> tuple[Drawn, Drawn]:
    return drawn_of(found.instances, "search"), drawn_of(found.instances, "held-out")


def test_the_gap_grows_with_the_length_of_the_pinned_demands_shortest_path(pinning: Generalisation) -> None:
    (claim,) = [claim for claim in pinning.claims if claim.feature == "length"]
    assert (claim.kind, claim.direction) == ("trend", "increasing") and claim.effect.low > 5
    assert claim.sentence.startswith("the gap grows with the length of the pinned demand's shortest path: ")
    assert f"on {COUNT} held-out topologies" in claim.sentence


def test_no_decoy_matters(pinning: Generalisation) -> None:
    named = {claim.feature for claim in pinning.claims} | {claim.where.feature for claim in pinning.claims
                                                            if claim.where is not None}
    notes = {note.feature: note for note in pinning.features}
    assert len(DECOYS) >= 5 and not named & set(DECOYS)
    assert all(notes[decoy].partial is not None for decoy in DECOYS)  # tested, all of them
    assert notes["path_km"].status == notes["path_labels"].status == "explained by others"
    assert notes["path_km"].alone > 0.4  # type: ignore[operator]  # though it moves with the gap


def test_length_varies_at_fixed_node_and_link_counts(pinning: Generalisation) -> None:
    notes = {note.feature: note.status for note in pinning.features}
    assert notes["nodes"] == notes["links"] == "constant"
    for number in range(20):
        drawn = FAMILY.draw(np.random.default_rng(number))
        graph = drawn.topology.graph
        assert (len(graph), graph.number_of_edges(), len(drawn.pairs)) == (16, 40, 31)
        assert nx.is_strongly_connected(graph) and drawn.small in drawn.pairs
        assert nx.shortest_path_length(graph, *drawn.small) == FAMILY.features(drawn)["length"]
        on_the_way = {node for path in nx.all_simple_paths(graph, *drawn.small) for node in path}
        assert not on_the_way & set(drawn.annex)


def test_shuffled_responses_of_demand_pinning_claim_nothing(pinning: Generalisation) -> None:
    search, held_out = halves(pinning)
    runs = scaled(6, 100, "null runs, demand pinning")
    claimed = sum(bool(generalised(shuffled(search, 2 * run), shuffled(held_out, 2 * run + 1), words_of(FAMILY),
                                   seed=run).claims) for run in range(runs))
    assert claimed <= 0.05 * runs


def test_records_say_the_same_again(pinning: Generalisation) -> None:
    assert generalised(*halves(pinning), words_of(FAMILY), seed=0) == pinning


def test_first_fit_configurations_are_generalised() -> None:
    result = generalise(FirstFitFamily(), instances=COUNT, held_out=COUNT, seed=0)
    assert ("smallest", "decreasing") in {(claim.feature, claim.direction) for claim in result.claims}
    assert not {claim.feature for claim in result.claims} & {"colours", "capacity"}
    assert FirstFitFamily().respond(Packing(4, 1, 51, 60, 100, 1), 0) == 0.0  # one ball a bin: nothing to lose


def test_servers_are_generalised() -> None:
    result = generalise(EESchedulingFamily("flush-now", tokens=2, most_requests=3, effort=4), instances=60,
                        held_out=60, seed=0)
    found = {(claim.feature, claim.direction) for claim in result.claims}
    assert ("start", "increasing") in found and "prefill" not in {feature for feature, _ in found}


def test_an_unrelated_family_draws_features_and_responses_apart() -> None:
    family = Unrelated(FirstFitFamily(effort=2))
    first, second = family.draw(np.random.default_rng(1))
    assert first != second
    assert family.features((first, second)) == family.family.features(first)
    assert family.respond((first, second), 5) == family.family.respond(second, 5)


@pytest.mark.parametrize(("family", "field"), [
    (lambda: DemandPinningFamily(links=3), "links"), (lambda: DemandPinningFamily(lengths=(1,)), "lengths"),
    (lambda: DemandPinningFamily(statistic="median"), "statistic"), (lambda: DemandPinningFamily(effort=0), "effort"),
    (lambda: FirstFitFamily(most_balls=3), "most_balls"), (lambda: EESchedulingFamily(tokens=0), "tokens"),
    (lambda: EESchedulingFamily(most_requests=9), "most_requests")])
def test_impossible_families_are_refused_by_field(family: object, field: str) -> None:
    with pytest.raises(InputError, match=field):
        family()  # type: ignore[operator]


def test_a_length_that_no_topology_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xplain.generalise.families.demand_pinning.MAX_DRAWS", 50)
    with pytest.raises(LimitError, match="no core of 12 nodes and 40 links with nodes 11 links apart"):
        DemandPinningFamily(links=40, lengths=(11,)).draw(np.random.default_rng(0))
