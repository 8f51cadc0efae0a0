"""A policy asked in integers answers as the policy asked in fractions, at every view and exactly at its thresholds."""

from __future__ import annotations

from random import Random

from drex_runtime.policies import SHIPPED, bind
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.observation import RAMP_NAMES, LaunchSpace
from drex_runtime.records import ServerConfig
from tests.generators import random_profile
from tests.independent.tables import random_policy
from tests.scale import scaled


def test_same_answers() -> None:
    for seed in range(scaled(60, 600)):
        random = Random(f"integers {seed}")
        segments = random.randint(1, 3)
        table = (generate_policy(random, num_segments=segments) if seed % 3 == 0 else random_policy(seed, segments)
                 if seed % 3 == 1 else random.choice([*SHIPPED.values()]))
        policy = bind(table, random_profile(random, segments, 4), ServerConfig(random.randint(2, 4), 5))
        quick, names = policy.in_integers(), LaunchSpace(segments).names
        for _ in range(20):
            view = tuple(random.choice((0, 1, 2, 3, random.randint(0, 60))) for _ in names)
            assert quick.launch_rule(view, bool(seed % 2)) == policy.launch_rule(view, bool(seed % 2)), seed
            for ramp in range(1, segments):
                seen = tuple(random.choice((0, 1, 2, 3, random.randint(0, 30))) for _ in RAMP_NAMES)
                assert quick.consults(ramp, seen) == policy.consults(ramp, seen), seed
                assert quick.ramp_rule(ramp, seen) == policy.ramp_rule(ramp, seen), seed
                assert quick.joins(ramp, seen) == policy.joins(ramp, seen), seed


def test_a_threshold_is_exact() -> None:
    """29 > 0.58*50 in floating point."""
    policy = bind(SHIPPED["drex"], random_profile(Random(1), 2, 64), ServerConfig(64, 64), {"art_factor": "0.58"})
    for quick in (policy, policy.in_integers()):
        assert quick.ramp_rule(1, (1, 50, 29, *(0,) * (len(RAMP_NAMES) - 3))).action == "CONTINUE"
        assert quick.ramp_rule(1, (1, 50, 30, *(0,) * (len(RAMP_NAMES) - 3))).action == "SPLIT"
