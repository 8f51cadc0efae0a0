"""Enumeration and SMT decide alike; a false claim gets a witness that replays; what does not end is unknown."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.records import CostProfile, ServerConfig
from drex_runtime.records.quantise import quantised
from drex_runtime.simulator import simulate
from drex_runtime.simulator.many import objectives
from tests.scale import scaled
from tests.xplain.tiny import PROFILE
from xplain.encodings.certificates.claim import Bound, Claim, Method
from xplain.encodings.certificates.decide import decide, judge
from xplain.encodings.certificates.features import Condition, Where
from xplain.encodings.certificates.survey import Survey
from xplain.encodings.certificates.workloads import blocks, count
from xplain.encodings.gap import GapProblem
from xplain.encodings.steps import InputSpace, RequestSpace
from xplain.problems.exact_features import FEATURES

SECONDS = 120.0
METHODS: tuple[Method, ...] = ("enumerate", "smt")
SMALL = quantised(PROFILE, 50, 8)


def problem(requests: int, tokens: int, *, against: str | None, times: tuple[int, ...] = (0,), places: int = 2,
            batch_max: int | None = None, profile: CostProfile = SMALL) -> GapProblem:
    config = ServerConfig(batch_max or places, places)

    def bound(name: str) -> BoundPolicy:
        return bind(shipped_policy(name), profile, config)

    space = InputSpace(2, (RequestSpace((tokens,), times),) * requests)
    return GapProblem(space, bound("drex"), None if against is None else bound(against))


def extreme(of: GapProblem, relation: Bound, where: Where, relative: Fraction = Fraction(0)) -> int:
    """The strongest value, by the reference simulator and the exact search on every workload."""
    survey, claim = Survey(of, time.monotonic() + SECONDS), Claim(of, relation, 0, where, relative)
    inside = np.flatnonzero(survey.inside(where, 1)).tolist()
    gaps = [of.replay(survey.workload(row)) for row in inside]
    measured = [claim.measured(gap.heuristic, gap.benchmark) for gap in gaps]
    return max(measured) if relation == "at-most" else min(measured)


HALF = Where("inside", ((Condition(FEATURES["exit_share"], ">", 0.4),),))
OUTSIDE = replace(HALF, side="outside")
CASES: dict[str, tuple[GapProblem, Bound, Where, Fraction]] = {
    "optimum": (problem(2, 2, against=None), "at-most", Where(), Fraction(0)),
    "optimum, a place too few": (problem(3, 1, against=None), "at-most", Where(), Fraction(0)),
    "optimum, arrivals": (problem(2, 2, against=None, times=(0, 1000)), "at-most", Where(), Fraction(0)),
    "policy, region": (problem(3, 2, against="flush-now", times=(0, 1000)), "at-least", HALF, Fraction(0)),
    "policy, batch cap": (problem(3, 2, against="flush-now", places=3, batch_max=2), "at-most", Where(), Fraction(0)),
    "relative, outside": (problem(2, 2, against=None), "at-most", OUTSIDE, Fraction(1, 20)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_strongest_claim_is_proved_and_the_next_refuted_by_both_methods(name: str) -> None:
    of, relation, where, relative = CASES[name]
    value = extreme(of, relation, where, relative)
    claim = Claim(of, relation, value, where, relative)
    stronger = replace(claim, value=value - 1 if relation == "at-most" else value + 1)
    for method in METHODS:
        proved, refuted = decide(claim, method, SECONDS), decide(stronger, method, SECONDS)
        assert (proved.status, refuted.status) == ("proved", "refuted"), (method, proved, refuted)
        assert refuted.witness is not None
        replayed = of.replay(refuted.witness.workload)
        assert replayed == refuted.witness and stronger.violated(replayed.heuristic, replayed.benchmark)


def test_the_survey_has_every_workload_once_with_the_simulators_costs() -> None:
    of = problem(3, 2, against="flush-now", times=(0, 700, 1400), places=2)
    survey = Survey(of, time.monotonic() + SECONDS)
    assert len(survey) == count(of.space) == 10 * 2**6
    rows = np.random.default_rng(0).permutation(len(survey))[:scaled(60, 640)].tolist()
    seen = {tuple((request.arrival, request.depths) for request in survey.workload(row).requests)
            for row in range(len(survey))}
    assert len(seen) == len(survey)
    for row in rows:
        replayed = of.replay(survey.workload(row))
        assert (replayed.heuristic, replayed.benchmark) == (survey.heuristic[row], survey.benchmark[row])


def test_optima_are_shared_by_workloads_that_differ_by_names_only() -> None:
    for places in (2, 3):
        of = problem(3, 2, against=None, times=(0, 900), places=places, batch_max=2)
        survey = Survey(of, time.monotonic() + SECONDS)
        survey.relax(time.monotonic() + SECONDS)
        for row in np.random.default_rng(1).permutation(len(survey))[:scaled(40, 256)].tolist():
            optimum = of.replay(survey.workload(row)).benchmark
            assert survey.lower[row] == optimum if places == 3 else survey.lower[row] <= optimum


def test_many_runs_are_the_runs_of_the_simulator() -> None:
    of = problem(2, 3, against=None, times=(0, 500))
    for block in blocks(of.space, 16):
        for objective in ("makespan", "total-completion"):
            found = objectives(of.policy, block.template, block.depths, objective)
            for k in range(0, len(found), 5):
                assert found[k] == simulate(of.policy, block.workload(k)).objective(objective)


@pytest.mark.parametrize("method", METHODS)
def test_out_of_time_is_unknown(method: Method) -> None:
    claim = Claim(problem(4, 3, against="flush-now", times=(0, 1000), places=3), "at-most", 10)
    found = decide(claim, method, 0.0001)
    assert (found.status, found.witness) == ("unknown", None)
    assert "out of time" in found.detail or "steps to unroll" in found.detail


def test_what_cannot_be_decided_says_why() -> None:
    with pytest.raises(LimitError, match="enumeration takes up to"):
        decide(Claim(problem(6, 5, against="flush-now"), "at-most", 0), "enumerate", 1.0)
    with pytest.raises(LimitError, match="needs quantifiers"):
        decide(Claim(problem(2, 2, against=None), "at-least", 0), "smt", 1.0)
    prompted = InputSpace(2, (RequestSpace((2,), prompt_tokens=3),))
    with pytest.raises(LimitError, match="without prompts"):
        count(prompted)
    of = problem(2, 2, against=None)
    with pytest.raises(LimitError, match="its own problem"):
        judge(Claim(problem(2, 2, against=None), "at-most", 0), Survey(of, time.monotonic() + 9), time.monotonic() + 9)


def test_a_policy_that_idles_for_ever_is_an_error_not_a_proof() -> None:
    policy = shipped_policy("drex")
    idle = replace(policy, launch=tuple(rule for rule in policy.launch if rule.name not in ("drain", "flush_age")))
    of = problem(3, 1, against=None, places=3)
    stuck = replace(of, policy=bind(idle, SMALL, of.config, {"flush_size": "3"}))
    for method in METHODS:
        with pytest.raises(PolicyError, match="idles for ever"):
            decide(Claim(stuck, "at-most", 10**9), method, SECONDS)
