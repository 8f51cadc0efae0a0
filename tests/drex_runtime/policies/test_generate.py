"""Generated policies cover the grammar, compile, finish, and are decided by the seed."""

from __future__ import annotations

from collections import Counter
from random import Random

from drex_runtime.policies import bind
from drex_runtime.policies.generate import generate_policy, usage
from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES
from drex_runtime.policies.program import compile_policy
from drex_runtime.policies.table import DEEP_TIME
from drex_runtime.records import CostProfile, LinearCost, SegmentCost, ServerConfig
from drex_runtime.simulator.reference import simulate
from tests.generators import simulator_case
from tests.scale import scaled

OPERATORS = ("+", "-", "*", "product of two variables", "<", "<=", ">", ">=", "==", "!=", "and", "or", "not", "min",
             "max")
LEAST = 20


def test_every_variable_and_operator_is_used() -> None:
    random, found = Random(4), Counter[str]()
    for index in range(scaled(500, 2000)):
        found.update(usage(generate_policy(random, voluntary=index % 2 == 0)))
    concrete = [f"{name}_{pool}" for name in POOL_NAMES for pool in (1, 2)]
    wanted = (*GLOBAL_NAMES, *POOL_NAMES, *concrete, DEEP_TIME, *RAMP_NAMES, *OPERATORS, "SPLIT", "CONTINUE",
              "EXIT_ALL", "RELEASE", "PREFILL", "RUN(1)", "RUN(2)", "RUN(s)", "fcfs", "edf")
    short = {name: found[name] for name in wanted if found[name] < LEAST}
    assert not short, f"used fewer than {LEAST} times: {short}"


def test_voluntary_policies_never_force_rows_out() -> None:
    random = Random(5)
    for _ in range(scaled(50, 500)):
        assert generate_policy(random).keeps_exits_voluntary


def test_the_seed_decides_the_policy() -> None:
    assert generate_policy(Random(6)) == generate_policy(Random(6))
    assert generate_policy(Random(6)) != generate_policy(Random(7))


def test_every_policy_compiles_at_the_largest_resources() -> None:
    most, random = 2**20, Random(8)
    costs = tuple(SegmentCost((2**20, 2**21, 2**22), 2**10, 100) for _ in range(3))
    profile = CostProfile("large", (1, 4, most), costs, (LinearCost(5, 1),) * 2, (7, 9))
    for _ in range(scaled(60, 500)):
        compile_policy(bind(generate_policy(random, num_segments=3), profile, ServerConfig(most, most)))


def test_every_policy_finishes_every_workload() -> None:
    random = Random(9)
    for seed in range(scaled(60, 1000)):
        case = simulator_case(seed)
        policy = generate_policy(random, voluntary=seed % 3 > 0, num_segments=case.profile.num_segments)
        run = simulate(bind(policy, case.profile, case.config), case.workload)
        assert min(run.completed) >= 0
