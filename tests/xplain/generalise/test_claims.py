"""The grammar on families whose truth is known: what is true is claimed, in the right words, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.xplain.generalise.synthetic import Features, Synthetic, uniform
from xplain.generalise import Claim, Generalisation, generalise
from xplain.records import Evidence

NAMES = ("f", "g", "h", "a", "b", "c")
COUNT = 120


def found(make: Callable[[np.random.Generator], Features], answer: Callable[[Features], float], noise: float = 1.0,
          seed: int = 1) -> Generalisation:
    return generalise(Synthetic(make, answer, noise), instances=COUNT, held_out=COUNT, seed=seed)


def only(result: Generalisation) -> Claim:
    (claim,) = result.claims
    return claim


def status(result: Generalisation) -> dict[str, str]:
    return {note.feature: note.status for note in result.features}


@pytest.mark.parametrize(("slope", "direction", "verb"), [(1.0, "increasing", "grows"), (-0.4, "decreasing", "falls")])
def test_a_trend_is_claimed_with_its_slope_and_nothing_else(slope: float, direction: str, verb: str) -> None:
    result = found(uniform(*NAMES), lambda x: slope * x["f"])
    claim = only(result)
    assert (claim.kind, claim.feature, claim.direction) == ("trend", "f", direction)
    assert claim.effect.low < slope < claim.effect.high and claim.evidence is Evidence.STATISTICAL
    assert claim.sentence.startswith(f"the gap {verb} with f: ") and f"{COUNT} held-out instances" in claim.sentence
    assert claim.p_search <= 0.05 and claim.p_held_out <= 0.05
    assert set(status(result).values()) == {"claimed", "no effect found"}
    assert result.verdict == f"the gap {verb} with f; nothing is claimed about the other 5 features tested"


def test_a_trend_may_be_bent() -> None:
    assert only(found(uniform(*NAMES), lambda x: x["f"] ** 2 / 10)).kind == "trend"


def test_a_threshold_is_found_with_its_place_within_the_stated_interval() -> None:
    claim = only(found(uniform(*NAMES), lambda x: 3.0 * (x["f"] > 6)))
    assert (claim.kind, claim.feature, claim.direction) == ("threshold", "f", "increasing")
    assert claim.cut is not None and claim.cut_range is not None
    low, high = claim.cut_range
    assert low <= 6 <= high and high - low < 1 and abs(claim.cut - 6) < 0.5
    assert claim.effect.low < 3 < claim.effect.high and "the gap is larger where f is above" in claim.sentence


def test_an_effect_in_one_part_only_is_found_with_its_bound() -> None:
    result = found(uniform(*NAMES), lambda x: x["f"] * (x["g"] <= 5))
    (claim,) = [claim for claim in result.claims if claim.feature == "f"]
    assert claim.kind == "only-where" and claim.direction == "increasing"
    assert claim.where is not None and (claim.where.feature, claim.where.relation) == ("g", "<=")
    assert claim.cut_range is not None and claim.cut_range[0] <= 5 <= claim.cut_range[1]
    assert claim.elsewhere is not None and claim.effect.low > 0.5 and not claim.elsewhere.excludes(0.0)
    assert "the gap grows with f, but only where g is at most" in claim.sentence
    assert {claim.feature for claim in result.claims} <= {"f", "g"}


def test_opposite_effects_are_found_though_they_cancel() -> None:
    result = found(uniform(*NAMES), lambda x: x["f"] * (1 if x["g"] <= 5 else -1))
    (claim,) = [claim for claim in result.claims if claim.feature == "f"]
    assert claim.kind == "reversed" and claim.where is not None and claim.where.feature == "g"
    assert claim.elsewhere is not None and claim.effect.value * claim.elsewhere.value < 0


def test_factors_of_a_product_are_trends_that_strengthen_each_other() -> None:
    result = found(uniform(*NAMES), lambda x: x["f"] * x["g"] / 3)
    assert {claim.feature for claim in result.claims if claim.kind == "trend"} == {"f", "g"}
    assert {claim.kind for claim in result.claims} <= {"trend", "stronger-where"}


def test_what_matters_only_through_another_feature_is_not_claimed() -> None:
    def make(rng: np.random.Generator) -> Features:
        g = float(rng.uniform(0, 10))
        return {"f": g**2 / 10 + float(rng.normal()), "g": g, "h": float(np.exp(g / 4) + rng.normal()),
                "a": float(rng.uniform())}

    result = found(make, lambda x: float(np.exp(x["g"] / 4)))
    assert only(result).feature == "g"
    assert status(result)["f"] == status(result)["h"] == "explained by others"
    assert next(note for note in result.features if note.feature == "f").alone > 0.5  # type: ignore[operator]


def test_what_matters_only_through_a_product_of_others_is_not_claimed() -> None:
    def make(rng: np.random.Generator) -> Features:
        g, h = rng.uniform(0, 10, 2).tolist()
        return {"g": g, "h": h, "f": g * h / 4 + float(rng.normal() * 2), "a": float(rng.uniform())}

    result = found(make, lambda x: x["g"] * x["h"] / 4)
    assert {claim.feature for claim in result.claims} == {"g", "h"}


def test_an_effect_that_a_confounder_hides_is_claimed() -> None:
    def make(rng: np.random.Generator) -> Features:
        g = float(rng.uniform(0, 10))
        return {"g": g, "f": g + float(rng.normal() * 2), "a": float(rng.uniform())}

    result = found(make, lambda x: x["f"] - 1.6 * x["g"])
    assert {(claim.feature, claim.direction) for claim in result.claims} == {("f", "increasing"), ("g", "decreasing")}
    note = next(note for note in result.features if note.feature == "f")
    assert note.alone is not None and note.alone < 0  # by itself it seems to fall


def test_a_feature_that_turns_back_is_no_trend() -> None:
    result = found(uniform(*NAMES), lambda x: (x["f"] - 5) ** 2 / 3)
    assert not result.claims and status(result)["f"] == "not monotone"


def test_a_feature_that_stands_for_another_one_is_named_with_it() -> None:
    def make(rng: np.random.Generator) -> Features:
        f = float(rng.uniform(0, 10))
        return {"f": f, "same": -3 * f, "a": float(rng.uniform())}

    result = found(make, lambda x: x["f"])
    assert only(result).same_as == ("same",) and "(or same: here they move as one)" in only(result).sentence
    assert status(result)["same"] == "duplicate"


def test_two_measures_of_one_cause_are_not_told_apart() -> None:
    def make(rng: np.random.Generator) -> Features:
        cause = float(rng.normal())
        return {"f": cause + float(rng.normal() * 0.3), "g": cause + float(rng.normal() * 0.3), "hidden": cause}

    result = found(make, lambda x: x["hidden"], noise=3.0, seed=4)
    assert not [claim for claim in result.claims if claim.feature == "a"]
    assert len(result.claims) < 2
