"""Random problems with random policies, for the time-stepped encodings; and a count of what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from drex_runtime.errors import DrexError
from drex_runtime.policies import bind
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.generate import generate_policy, usage
from drex_runtime.policies.program import compile_policy
from drex_runtime.records import Workload
from drex_runtime.simulator import Run, simulate
from tests.generators import Case, random_requests, small_case
from tests.independent.tables import random_policy
from xplain.encodings.steps import Inputs, InputSpace, Steps, unroll
from xplain.encodings.steps.chooser import PolicyChooser
from xplain.encodings.terms import Terms


@dataclass(frozen=True)
class PolicyCase:
    """A problem, a policy bound to it, and the reference simulator's run."""

    case: Case
    policy: BoundPolicy
    run: Run


@dataclass(frozen=True)
class Encoded:
    """The case as terms, depths free."""

    terms: Terms
    inputs: Inputs
    steps: Steps


def policy_cases(max_states: int = 300) -> Iterator[PolicyCase]:
    """Cases without end: policies from both generators, a third with due dates; what an encoding must refuse (an
    idling policy, expressions beyond 64 bits) is left out."""
    seed = 0
    while True:
        random = Random(f"policy case {seed}")
        case = small_case(seed, max_states)
        segments = case.workload.num_segments
        if random.random() < 0.3:
            tokens = [request.output_tokens for request in case.workload.requests]
            requests = random_requests(random, segments, tokens, spread=random.choice((0, 12)), targets=True)
            case = replace(case, workload=Workload.of(segments, requests))
        table = random_policy(seed, segments) if seed % 2 else generate_policy(random, num_segments=segments)
        seed += 1
        try:
            policy = bind(table, case.profile, case.config)
            compile_policy(policy)
            yield PolicyCase(case, policy, simulate(policy, case.workload))
        except DrexError:
            continue


def encode(case: PolicyCase) -> Encoded:
    """Unroll the policy over the case's space."""
    terms = Terms()
    inputs = Inputs(terms, InputSpace.around(case.case.workload))
    steps = unroll("H", terms, inputs, case.case.profile, case.case.config,
                   PolicyChooser("H", terms, inputs, case.policy))
    return Encoded(terms, inputs, steps)


def used(cases: Counter[str], case: PolicyCase) -> None:
    """Count the variables and operators of the case's policy."""
    cases.update(usage(case.policy.policy).keys())
