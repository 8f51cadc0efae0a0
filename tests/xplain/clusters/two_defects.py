"""A policy with two planted defects that show in different workloads: it never splits, which costs where requests
differ, and at first it idles while places are free, which happens only if requests arrive one after the other."""

from __future__ import annotations

from dataclasses import replace

from drex_runtime.policies import shipped_policy
from drex_runtime.policies.expressions import parse_condition
from drex_runtime.policies.table import LaunchRule, Policy
from drex_runtime.records import CostProfile, LinearCost, SegmentCost
from xplain.encodings.exact import Limits
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender

PROFILE = CostProfile("two", (8,), (SegmentCost((10,), 2), SegmentCost((12,), 6)), (LinearCost(),), (1,))
SETTINGS = {"art_factor": "100", "flush_size": "1"}  # a split would pay, and never comes

IDLES = "age_1 <= 1 and free_places >= 1 and decodes_since_prefill <= 3"


def idling() -> Policy:
    """`drex` that begins by waiting for company."""
    drex = shipped_policy("drex")
    patience = LaunchRule("patience", "IDLE", parse_condition(IDLES, "patience"))
    return replace(drex, name="idling", launch=(patience, *drex.launch))


def problem(policy: Policy, settings: dict[str, str], requests: int = 4, tokens: int = 3) -> ExactProblem:
    """At exact scale; arrivals up to sixteen shallow passes apart."""
    found = ExactProblem(Contender(policy.name, policy, settings), PROFILE, "total-completion", 0.1,
                         requests=requests, tokens=tokens, arrival_steps=16, limits=Limits())
    config = replace(found.config, idle_max=120)
    found.config, found.bound = config, replace(found.bound, config=config)
    return found
