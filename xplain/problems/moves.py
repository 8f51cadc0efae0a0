"""Decisions as tiny policies: what a beam search may do next, in the form that the compiled simulator executes.

A move prefers one launch (PREFILL, RUN of one pool, IDLE) wherever it is possible and does one thing at every ramp.
Followed for a few choices it is a decision; nobody would follow it to the end.
"""

from __future__ import annotations

from functools import lru_cache

from drex_runtime.policies import BoundPolicy, Policy, bind
from drex_runtime.policies.safe_yaml import Data
from drex_runtime.policies.yaml_form import policy_from_data
from drex_runtime.records import CostProfile, ServerConfig

RAMPS: dict[str, tuple[str, str, str]] = {  # consult, SPLIT when, join
    "split": ("always", "always", "buffered_next >= 1"),
    "split-exits": ("always", "exits >= 1", "never"),
    "stay": ("always", "never", "buffered_next >= 1"),
    "pass": ("never", "never", "buffered_next >= 1"),
}


@lru_cache(maxsize=64)
def moves(num_segments: int) -> tuple[Policy, ...]:
    """Every launch with every conduct at ramps, for a model of so many segments."""
    launches = ["PREFILL", *(f"RUN({pool})" for pool in range(1, num_segments + 1)), "IDLE"]
    ramps = RAMPS if num_segments > 1 else {"pass": RAMPS["pass"]}
    return tuple(_move(launch, name, *conduct) for launch in launches for name, conduct in ramps.items())


def bound_moves(profile: CostProfile, config: ServerConfig) -> tuple[BoundPolicy, ...]:
    """The moves under these costs and resources."""
    return tuple(bind(policy, profile, config, {}) for policy in moves(profile.num_segments))


def _move(launch: str, name: str, consult: str, split: str, join: str) -> Policy:
    label = launch.lower().replace("(", "-").replace(")", "")
    data: dict[str, Data] = {
        "schema": "drex-policy/1", "name": f"move-{label}-{name}",
        "parameters": {"batch_limit": {"default": "batch_max", "low": "1", "integer": True}},
        "launch": [{"rule": "first", "action": launch}, {"rule": "prefill", "action": "PREFILL"},
                   {"rule": "deep", "action": "RUN(s)"}, {"rule": "decode", "action": "RUN(1)"}],
        "consult": consult, "join": join,
        "ramp": [{"rule": "split", "action": "SPLIT", "when": split}, {"rule": "stay", "action": "CONTINUE"}]}
    return policy_from_data(data, "moves")
