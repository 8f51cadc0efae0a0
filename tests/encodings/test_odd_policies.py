"""Policies in YAML that nobody shipped go through every encoding and method unchanged."""

from __future__ import annotations

import pytest

from drex_runtime.policies import bind
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, ServerConfig
from drex_runtime.simulator import simulate
from tests.encodings.odd_policies import ODD
from xplain.encodings.gap import GapProblem
from xplain.encodings.gap.auto import maximize
from xplain.encodings.steps import Inputs, InputSpace, RequestSpace, unroll
from xplain.encodings.steps.chooser import PolicyChooser
from xplain.encodings.steps.listing import every_workload
from xplain.encodings.terms import Terms, evaluate

PROFILE = CostProfile("small", (1, 2, 4), (SegmentCost((5, 6, 8), 1), SegmentCost((7, 8, 9), 1)), (LinearCost(1, 1),),
                      (3,), 2, LinearCost(1, 0), PrefillCost(4, 1))
SPACE = InputSpace(2, (RequestSpace((2,)), RequestSpace((2,), (0, 9))))
WITH_PROMPTS = InputSpace(2, (RequestSpace((2,), due=40), RequestSpace((1, 2), prompt_tokens=2), RequestSpace((1,))))


def bound(name: str, places: int = 2) -> BoundPolicy:
    return bind(ODD[name], PROFILE, ServerConfig(2, places))


@pytest.mark.parametrize("space", [SPACE, WITH_PROMPTS], ids=["arrivals", "prompts"])
@pytest.mark.parametrize("name", ODD)
def test_steps_are_the_simulators(name: str, space: InputSpace) -> None:
    policy, terms = bound(name), Terms()
    inputs = Inputs(terms, space)
    steps = unroll("H", terms, inputs, PROFILE, policy.config, PolicyChooser("H", terms, inputs, policy))
    for workload in every_workload(space):
        values = evaluate([steps.makespan, steps.total_completion, steps.finished], inputs.assignment(workload))
        run = simulate(policy, workload)
        assert values[steps.finished.index]
        assert values[steps.makespan.index] == run.objective("makespan")
        assert values[steps.total_completion.index] == run.objective("total-completion")


@pytest.mark.parametrize("name", ODD)
def test_all_methods_prove_the_same_worst_case(name: str) -> None:
    at_once = GapProblem(InputSpace(2, (RequestSpace((2,)),) * 2), bound(name))
    worst = maximize(at_once, "enumerate")
    assert worst.proved and worst.lower is not None
    for method in ("lattice", "steps", "smt"):
        answer = maximize(at_once, method, seconds=120)
        assert (answer.lower, answer.upper) == (worst.lower, worst.upper), (method, answer)
    with_arrivals = GapProblem(SPACE, bound(name), objective="makespan")
    worst, answer = maximize(with_arrivals, "enumerate"), maximize(with_arrivals, "smt", seconds=120)
    assert worst.proved and worst.lower is not None and answer.upper is not None
    assert answer.lower == worst.lower <= answer.upper
