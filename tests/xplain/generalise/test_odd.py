"""Odd families get sensible words; same seed, same record, whatever the number of threads."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.errors import InputError
from tests.xplain.generalise.synthetic import Features, Synthetic, uniform
from xplain.generalise import Generalisation, generalise, load_generalisation, save_generalisation


def status(result: Generalisation) -> dict[str, str]:
    return {note.feature: note.status for note in result.features}


def test_constant_undefined_and_missing_features_are_said_and_disturb_nothing(tmp_path: Path) -> None:
    def make(rng: np.random.Generator) -> Features:
        f = float(rng.uniform(0, 10))
        rare = {"rare": f} if rng.random() < 0.02 else {}
        return {"f": f, "constant": 3.0, "nan": math.nan, "infinite": math.inf,
                "half": f if rng.random() < 0.5 else math.nan, "a": float(rng.uniform()), **rare}

    result = generalise(Synthetic(make, lambda x: x["f"]), instances=80, held_out=80, seed=0)
    assert {claim.feature for claim in result.claims} == {"f"}
    found = status(result)
    assert found["constant"] == "constant" and found["nan"] == found["infinite"] == found["rare"] == "undefined"
    assert "3 on every instance: cannot tell" in {note.text for note in result.features}
    save_generalisation(tmp_path / "found.json", result)
    assert load_generalisation(tmp_path / "found.json") == result


def test_a_feature_that_is_defined_on_some_instances_only_can_be_claimed() -> None:
    def make(rng: np.random.Generator) -> Features:
        return {"f": float(rng.uniform(0, 10)) if rng.random() < 0.7 else math.nan, "a": float(rng.uniform())}

    result = generalise(Synthetic(make, lambda x: 0.0 if math.isnan(x["f"]) else x["f"]), instances=100, held_out=100,
                        seed=0)
    assert [claim.feature for claim in result.claims] == ["f"]


@pytest.mark.parametrize(("instances", "held_out"), [(1, 1), (7, 40), (40, 7)])
def test_few_instances_tell_nothing(instances: int, held_out: int) -> None:
    family = Synthetic(uniform("f", "a"), lambda x: 100 * x["f"])
    result = generalise(family, instances=instances, held_out=held_out, seed=0)
    assert not result.claims and result.tests == 0
    assert result.verdict.startswith(f"cannot tell: {instances} instances to search and {held_out} to confirm")


def test_as_few_as_can_be_tested_do_not_crash() -> None:
    result = generalise(Synthetic(uniform(*"abcdefgh"), lambda x: x["a"]), instances=8, held_out=8, seed=0)
    assert result.tests == 72


def test_no_response_is_left_out_and_said() -> None:
    family = Synthetic(uniform("f", "a"), lambda x: x["f"] if x["a"] > 2 else math.nan)
    result = generalise(family, instances=60, held_out=60, seed=0)
    assert result.searched < 60 and any("have no response" in limit for limit in result.limits)
    assert [claim.feature for claim in result.claims] == ["f"]
    nothing = generalise(Synthetic(uniform("f"), lambda x: math.nan), instances=20, held_out=20, seed=0)
    assert "40 instances have no response" in nothing.verdict


def test_a_gap_that_is_always_the_same() -> None:
    result = generalise(Synthetic(uniform("f", "a"), lambda x: 5.0, noise=0.0), instances=20, held_out=20, seed=0)
    assert result.verdict == "nothing to generalise: the gap is 5 ticks on all 40 instances"


@pytest.mark.parametrize("make", [lambda rng: {}, lambda rng: {"f": 1.0}])
def test_no_feature_varies(make: object) -> None:
    result = generalise(Synthetic(make, lambda x: 0.0), instances=20, held_out=20, seed=0)  # type: ignore[arg-type]
    assert result.verdict == "cannot tell: no feature varies"


def test_one_feature_and_noise_free_responses() -> None:
    result = generalise(Synthetic(uniform("f"), lambda x: x["f"], noise=0.0), instances=20, held_out=20, seed=0)
    assert [claim.feature for claim in result.claims] == ["f"]
    huge = generalise(Synthetic(uniform("f", "a"), lambda x: 1e300 * x["f"], noise=0.0), instances=20, held_out=20,
                      seed=0)
    assert all(claim.feature == "f" for claim in huge.claims)


def test_same_seed_same_record_whatever_the_number_of_threads() -> None:
    family = Synthetic(uniform("f", "g", "a"), lambda x: x["f"] * (x["g"] <= 5))
    first, second, threaded, other = (generalise(family, instances=40, held_out=40, seed=seed, jobs=jobs)
                                      for seed, jobs in ((3, 1), (3, 1), (3, 2), (4, 1)))
    assert first == second == threaded != other


@pytest.mark.parametrize("change", [{"instances": 0}, {"held_out": 0}, {"jobs": 0}, {"level": 0.0}, {"level": 1.0},
                                    {"level": math.nan}])
def test_impossible_requests_are_refused_by_name(change: dict[str, float]) -> None:
    wish: dict[str, float] = {"instances": 9, "held_out": 9, "seed": 0, **change}
    with pytest.raises(InputError, match=next(iter(change))):
        generalise(Synthetic(uniform("f"), lambda x: 0.0), **wish)  # type: ignore[arg-type]


def test_what_is_no_number_is_refused_by_name() -> None:
    def make(rng: np.random.Generator) -> Features:
        return {"f": "large"}  # type: ignore[dict-item]

    with pytest.raises(InputError, match="f = large"):
        generalise(Synthetic(make, lambda x: 0.0), instances=9, held_out=9, seed=0)


def test_truth_values_and_whole_numbers_are_numbers() -> None:
    def make(rng: np.random.Generator) -> Features:
        return {"flag": bool(rng.integers(0, 2)), "count": int(rng.integers(0, 5)), "a": rng.uniform()}

    result = generalise(Synthetic(make, lambda x: 4.0 * x["flag"]), instances=60, held_out=60, seed=0)
    (claim,) = result.claims
    assert (claim.kind, claim.feature, claim.cut) == ("threshold", "flag", 0.0)
