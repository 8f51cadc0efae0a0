"""Policies and workloads for regret tests: shipped ones, generated ones, and one that idles on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import sympy

from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.policies.expressions import parse_condition, parse_scalar
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, RampRule
from drex_runtime.records import Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from tests.generators import Case, random_profile, small_case

VOLUNTARY = ("drex", "drex-published", "no-exit", "flush-now", "threshold", "consensus")
OBJECTIVES: tuple[Objective, ...] = ("total-completion", "makespan")
# Once per wait for company: a second IDLE without arrivals to come would be an error of the policy.
IDLE_MAX = 3


@dataclass(frozen=True)
class RegretCase:
    """A policy on a small workload, compared under one objective."""

    policy: BoundPolicy
    workload: Workload
    objective: Objective
    case: Case

    @property
    def features(self) -> tuple[str, ...]:
        """Of the workload and of the policy."""
        name = self.policy.policy.name
        return (*self.case.features, self.objective, "generated" if name.startswith("generated") else name)


def patient_policy() -> Policy:
    """Idles at its first decision with a lone ready row, then decodes; splits whenever somebody is ready."""
    limit = Parameter("batch_limit", parse_scalar("batch_max", "batch_limit"), Fraction(1), None, True, "rows")
    launch = (LaunchRule("flush", "RUN(s)", parse_condition("buffered >= 2", "flush")),
              LaunchRule("prefill", "PREFILL"),
              LaunchRule("patience", "IDLE", parse_condition("ready == 1 and age_1 <= 1", "patience")),
              LaunchRule("decode", "RUN(1)"), LaunchRule("drain", "RUN(s)"))
    ramp = (RampRule("split", "SPLIT", parse_condition("exits >= 1", "split")), RampRule("stay", "CONTINUE"))
    return Policy("patient", (limit,), launch, sympy.true, ramp, sympy.false)


def _meeting(seed: int, random: Random) -> Case:
    """Three requests whose tokens exit and run deep in turn, so that a pass meets rows parked before."""
    depths = [tuple(random.randint(1, 2) for _ in range(random.randint(2, 3))) for _ in range(3)]
    requests = [Request(i, 0, 0, depths[i]) for i in range(3)]
    return Case(seed, Workload.of(2, requests), random_profile(random, 2, 3), ServerConfig(random.randint(2, 3), 3))


def regret_case(seed: int, max_states: int = 2500) -> RegretCase:
    """Half generated policies, the others shipped ones with some settings moved, or the patient one."""
    random = Random(f"regret {seed}")
    case = small_case(seed, max_states)
    kind = random.random()
    if kind < 0.5:
        policy = generate_policy(random, num_segments=case.profile.num_segments)
        settings: dict[str, str] = {}
    elif kind < 0.65:
        policy, settings = patient_policy(), {}
        case = replace(case, config=replace(case.config, idle_max=IDLE_MAX))
    elif kind < 0.75:  # buffers fill while others pass: the only way to be joined
        policy, settings = random.choice((
            (shipped_policy("threshold"), {"flush_size": "4", "split_min": "1"}),
            (shipped_policy("drex"), {"flush_size": "4", "art_factor": "0", "drain_min": "3"})))
        case = _meeting(seed, random)
    else:
        policy = shipped_policy(random.choice(VOLUNTARY))
        choices = {"batch_limit": ("1", "2"), "flush_size": ("1", "3"), "alpha": ("1/3",), "art_factor": ("0", "1"),
                   "max_age": ("1", "2"), "consult_ramp": ("0",)}
        settings = {name: random.choice(values) for name, values in choices.items()
                    if (found := policy.parameter(name)) is not None and random.random() < 0.3
                    and (found.scope == "policy" or case.profile.num_segments > 1)}  # no ramp: nothing to set there
    objective = random.choice(OBJECTIVES)
    return RegretCase(bind(policy, case.profile, case.config, settings), case.workload, objective, case)
