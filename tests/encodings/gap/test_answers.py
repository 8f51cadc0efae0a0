"""Answers are replayed, labelled and complete: time limits, numbers that do not fit, solvers that lie."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from drex_runtime.errors import LimitError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import CostProfile, SegmentCost, ServerConfig
from tests.xplain.tiny import PROFILE
from xplain.encodings.gap import GapProblem, Progress, ReplayedGap, ReplayMismatch
from xplain.encodings.gap.model import gap_model
from xplain.encodings.gap.smt_method import by_smt
from xplain.encodings.gap.steps_method import by_steps
from xplain.encodings.gap.witness import Witness
from xplain.encodings.steps import InputSpace, RequestSpace

SMALL = CostProfile("small", (4,), (SegmentCost((3,)), SegmentCost((2,))), (PROFILE.ramps[0].__class__(),), (2,))


def problem(requests: int = 2, tokens: int = 2, profile: CostProfile = SMALL, **changes: object) -> GapProblem:
    """drex, room for all."""
    policy = bind(shipped_policy("drex"), profile, ServerConfig(requests, requests))
    space = InputSpace(2, (RequestSpace((tokens,)),) * requests, profile.tick)
    return GapProblem(space, policy, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [by_steps, by_smt])
def test_no_time_is_said(method: object) -> None:
    answer = method(problem(), seconds=0)  # type: ignore[operator]
    assert (answer.stopped, answer.witness, answer.proved) == ("time-limit", None, False)
    assert answer.detail


def test_a_short_limit_keeps_the_sampled_witness() -> None:
    answer = by_smt(problem(4, 4), seconds=30, query_seconds=0.01)
    assert answer.stopped == "time-limit" and answer.lower is not None and "undecided in time" in answer.detail
    assert answer.upper is not None and answer.upper > answer.lower and not answer.proved


def test_numbers_too_large_for_a_milp_are_said_and_the_witness_kept() -> None:
    wide = CostProfile("wide", (4,), (SegmentCost((3 * 10**9,)), SegmentCost((2 * 10**9,))), SMALL.ramps, (10**9,))
    answer = by_steps(problem(profile=wide))
    assert answer.stopped == "failed" and "coarser quantum" in answer.detail
    assert answer.lower is not None and answer.upper is None and answer.proof is None


def test_progress_and_log(tmp_path: Path) -> None:
    heard: list[Progress] = []
    answer = by_steps(problem(), solver="highs", on_progress=heard.append, log_folder=tmp_path, samples=0, seconds=300)
    assert answer.proved and tuple(heard) == answer.progress
    assert heard[-1].lower == heard[-1].upper == answer.lower
    assert Path(answer.log).stat().st_size


def test_a_claim_that_replay_does_not_reproduce_is_an_error() -> None:
    asked = problem()
    model = gap_model(asked)
    honest = asked.replay

    def cheaper(self: GapProblem, workload: object, limits: object = None) -> ReplayedGap:
        found = honest(workload, limits)  # type: ignore[arg-type]
        return ReplayedGap(found.workload, found.heuristic - 1, found.benchmark)

    with patch.object(GapProblem, "replay", cheaper), pytest.raises(ReplayMismatch, match="the solver claims"):
        by_smt(asked, samples=0, seconds=300)
    assert model.problem is asked


def test_a_workload_beyond_a_proved_bound_is_an_error() -> None:
    asked = problem()
    witness = Witness(asked)
    witness.sample(30, 0, None)
    assert witness.lower is not None
    witness.bound(witness.lower - 1)
    with pytest.raises(ReplayMismatch, match="proves that no gap exceeds"):
        witness.answer("smt", "z3", "exact", "proved", "")


def test_proved_takes_both_ends() -> None:
    witness = Witness(problem())
    assert witness.answer("smt", "z3", "exact", "proved", "").stopped == "failed"


def test_misses_are_refused() -> None:
    with pytest.raises(LimitError, match="not misses"):
        gap_model(problem(objective="misses"))
