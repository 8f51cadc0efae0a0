"""Verified loosening: by a known truth, by proof over all EE workloads of a size, by samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drex_runtime.errors import InputError
from drex_runtime.policies import bind, shipped_policy
from tests.xplain.tiny import PROFILE
from xplain.certify.space import Size, config_of, grid_of, space_of
from xplain.encodings.certificates.claim import Claim
from xplain.encodings.gap import GapProblem
from xplain.generalise.certified import CertifiedVerifier
from xplain.generalise.loosen import Conditions, Verify, loosen, loosest
from xplain.generalise.record import Checked
from xplain.generalise.sampled import SampledVerifier, values_of
from xplain.problems.exact_features import FEATURES, members
from xplain.records import Evidence, Predicate, Sample

VALUES = {name: [float(value) for value in range(11)] for name in "xyz"}


def bounded(**limits: float) -> Verify:
    """The promise is kept by exactly the boxes within these upper limits."""
    def verify(conditions: Conditions) -> Checked:
        bounds = {each.feature: each.bound for each in conditions if each.relation == "<="}
        holds = all(bounds.get(name, np.inf) <= limit for name, limit in limits.items())
        return Checked(holds, Evidence.PROVED, "by definition")

    return verify


def test_what_is_not_needed_goes_and_the_rest_moves_as_far_as_it_can() -> None:
    start = (*(Predicate(name, "<=", 2.0) for name in "xyz"), Predicate("y", ">", 0.0))
    found = loosen(start, VALUES, bounded(x=7, z=2), promise="it holds")
    assert found.predicates == (Predicate("x", "<=", 7.0), Predicate("z", "<=", 2.0))
    assert found.sentence == "where x <= 7 and z <= 2: it holds (proved: by definition)"
    tried = {trial.predicates: trial.checked.holds for trial in found.trials}
    assert tried[(Predicate("x", "<=", 8.0), Predicate("z", "<=", 2.0))] is False  # the next bound was refuted


def test_everything_and_nothing() -> None:
    start = (Predicate("x", "<=", 2.0),)
    everywhere = loosen(start, VALUES, bounded(), promise="it holds")
    assert everywhere.predicates == () and everywhere.sentence.startswith("everywhere: it holds")
    nowhere = loosen(start, VALUES, bounded(x=1), promise="it holds")
    assert nowhere.predicates is None and not nowhere.trials and "not even the start" in nowhere.sentence
    unknown = loosen(start, VALUES, lambda _: Checked(None, Evidence.PROVED, "out of time"), promise="it holds")
    assert unknown.predicates is None and "out of time" in unknown.sentence


def test_values_are_needed_for_every_bound() -> None:
    with pytest.raises(InputError, match="w"):
        loosen((Predicate("w", "<=", 1.0),), VALUES, bounded(), promise="it holds")


# By proof.


def problem(benchmark: str | None, requests: int = 3, tokens: int = 2) -> GapProblem:
    size = Size((requests, tokens), 1)
    config = config_of("b", size, PROFILE)
    other = None if benchmark is None else bind(shipped_policy(benchmark), PROFILE, config)
    return GapProblem(space_of("b", size, PROFILE), bind(shipped_policy("drex"), PROFILE, config), other)


def proved(verifier: CertifiedVerifier, orders: int = 4) -> tuple[Conditions, Conditions]:
    """Start from the worst workload alone, described by everything; the loosest description of losing workloads."""
    names = [*FEATURES, *members(verifier.shape)]
    start = verifier.description(verifier.worst(), names)
    found = loosest(start, verifier.values(names), verifier, promise="every workload loses", orders=orders)
    assert found.predicates is not None and found.final.holds and found.final.evidence is Evidence.PROVED
    return start, found.predicates


def test_losing_workloads_are_described_by_proof_and_no_bound_could_go() -> None:
    verifier = CertifiedVerifier(problem("flush-now"), 1, grid=grid_of(PROFILE))
    assert verifier.survey is not None
    start, found = proved(verifier)
    assert 0 < len(found) < len(start)
    gaps = verifier.survey.heuristic - verifier.survey.benchmark
    names = [*FEATURES, *members(verifier.shape)]
    counted = verifier.survey.counted(verifier.grid)

    def inside(conditions: Conditions) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        rows = np.ones(len(gaps), np.bool_)
        for each in conditions:
            values = counted.values(verifier._feature(each.feature))
            rows &= values <= each.bound if each.relation == "<=" else values > each.bound
        return rows

    assert inside(found).sum() > inside(start).sum() >= 1 and (gaps[inside(found)] >= 1).all()
    for at, each in enumerate(found):
        assert (gaps[inside(found[:at] + found[at + 1:])] < 1).any()
        further = [value for value in verifier.values(names)[each.feature]
                   if (value > each.bound if each.relation == "<=" else value < each.bound)]
        for value in further:
            moved = Predicate(each.feature, each.relation, value)
            assert (gaps[inside((*found[:at], moved, *found[at + 1:]))] < 1).any()


@pytest.mark.slow
def test_survey_and_smt_agree_about_descriptions() -> None:
    by_survey = CertifiedVerifier(problem("no-exit", 2, 2), 1, grid=grid_of(PROFILE))
    by_smt = CertifiedVerifier(by_survey.problem, 1, grid=by_survey.grid, method="smt")
    start, found = proved(by_survey, orders=1)
    for conditions in (start, found, found[1:]):
        assert by_survey(conditions).holds == by_smt(conditions).holds
    with pytest.raises(InputError, match="enumerate"):
        by_smt.worst()


def test_a_description_that_nothing_fits_promises_nothing() -> None:
    verifier = CertifiedVerifier(problem("flush-now", 2, 2), 1, grid=grid_of(PROFILE))
    empty = (Predicate("exit_share", ">", 0.9), Predicate("exit_share", "<=", 0.1))
    assert verifier(empty).holds is None and "says nothing" in verifier(empty).text
    refuted = verifier(())
    assert refuted.holds is False and "has a gap of" in refuted.text
    with pytest.raises(InputError, match="load"):
        verifier((Predicate("load", ">", 1.0),))
    claim = Claim(verifier.problem, "at-most", 0, grid=verifier.grid)
    assert verifier.survey is not None and verifier.survey.worst(claim, np.inf) is not None


# By samples.


def samples(count: int, bad: Callable[[float, float], float], seed: int) -> list[Sample]:
    """x, y uniform in 0..10; bad with the stated probability."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        x, y = rng.integers(0, 11, 2).tolist()
        gap = int(rng.random() < bad(x, y))
        found.append(Sample(index, "exact", "random", {}, {"x": float(x), "y": float(y)}, 10 + gap, 10, 10))
    return found


def test_frequent_loss_is_described_by_samples_and_confirmed_by_fresh_ones() -> None:
    def often(x: float, y: float) -> float:
        return 0.97 if x > 4 else 0.1

    drawn, fresh = samples(2000, often, 0), samples(2000, often, 1)
    start = (Predicate("x", ">", 7.0), Predicate("y", "<=", 5.0))
    values = values_of(drawn, ["x", "y"])
    found = loosen(start, values, SampledVerifier(drawn, 0.05, 0.9, looks=1), promise="it often loses",
                   confirm=SampledVerifier(fresh, 0.05, 0.9))
    assert found.predicates == (Predicate("x", ">", 4.0),)
    assert found.final.evidence is Evidence.STATISTICAL and found.final.rate is not None
    assert found.final.rate.low >= 0.9 and "statistical" in found.sentence and "of 1," in found.final.text


def test_what_fresh_samples_do_not_confirm_is_not_promised() -> None:
    drawn, fresh = samples(500, lambda x, y: 1.0, 0), samples(500, lambda x, y: 0.5, 1)
    found = loosen((Predicate("x", ">", 5.0),), values_of(drawn, ["x"]), SampledVerifier(drawn, 0.05, 0.9),
                   promise="it often loses", confirm=SampledVerifier(fresh, 0.05, 0.9))
    assert found.predicates is None and found.sentence.startswith("not confirmed: it often loses")


def test_too_few_samples_cannot_tell() -> None:
    drawn = samples(30, lambda x, y: 1.0, 0)
    checked = SampledVerifier(drawn, 0.05, 0.5)((Predicate("x", ">", 9.0),))
    assert checked.holds is None and "too few to tell" in checked.text
    with pytest.raises(InputError, match="target"):
        SampledVerifier(drawn, 0.05, 0.0)
    with pytest.raises(InputError, match="feature"):
        SampledVerifier(drawn, 0.05, 0.5)((Predicate("w", ">", 9.0),))
