"""Long runs in blocks: sums exactly, agrees with the attribution step by step where everything is opened."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from drex_runtime.errors import LimitError
from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.policies.generate import generate_policy
from drex_runtime.records import ServerConfig, Workload, load_profile
from drex_runtime.simulator import simulate
from drex_runtime.simulator.compiled import simulate_compiled
from tests.drex_runtime.test_examples import PUBLISHED
from tests.generators import simulator_case
from tests.scale import scaled
from tests.xplain.explain.cases import OBJECTIVES, VOLUNTARY
from xplain.explain.blocks import attribute_blocks
from xplain.explain.regret import attribute_run, summarise
from xplain.explain.values import ReferenceValues
from xplain.problems.generator import generate


def _pair(seed: int) -> tuple[BoundPolicy, BoundPolicy, Workload, Random]:
    random, case = Random(f"blocks {seed}"), simulator_case(seed)
    policy = bind(generate_policy(random, num_segments=case.profile.num_segments), case.profile, case.config)
    return policy, bind(shipped_policy(random.choice(VOLUNTARY)), case.profile, case.config), case.workload, random


def test_blocks_sum_to_the_difference_however_they_are_cut() -> None:
    unexamined = 0
    for seed in range(scaled(20, 500)):
        policy, reference, workload, random = _pair(seed)
        objective = random.choice(OBJECTIVES)
        expected = (simulate(policy, workload).objective(objective)
                    - simulate(reference, workload).objective(objective))
        every, examine = random.choice((1, 3, 8, 100)), random.choice((0, 5, 1000))
        found, blocks = attribute_blocks(policy, workload, objective, reference, every=every, examine=examine)
        assert found.gap == expected == sum(block.ticks for block in blocks)
        assert sum(cause.ticks for cause in found.causes) == expected
        assert sum(block.last - block.first for block in blocks if block.examined) <= examine
        for block in blocks:
            assert sum(part.ticks for part in block.parts) == block.ticks
        assert all(one.last <= other.first for one, other in pairwise(blocks))
        unexamined += any(not block.examined for block in blocks)
    assert unexamined > 5


def test_opened_everywhere_it_is_the_attribution_step_by_step() -> None:
    for seed in range(scaled(12, 300)):
        policy, reference, workload, random = _pair(seed)
        objective = random.choice(OBJECTIVES)
        found, _ = attribute_blocks(policy, workload, objective, reference, every=1, examine=10**6)
        values = ReferenceValues(workload, objective, reference)
        whole = summarise(attribute_run(policy, workload, objective, values), 0, "", values.label)
        assert found == whole


def test_a_run_of_a_thousand_decisions() -> None:
    profile = load_profile(PUBLISHED)
    point = {"load": 1.2, "exit_rate": 0.4, "persistence": 0.5, "output_tokens": 40.0, "prompt_tokens": 8.0,
             "num_seqs": 8.0}
    config = ServerConfig(8, 8)
    workload = generate(point, profile, 8, 0, 0)
    policy = bind(shipped_policy("drex"), profile, config, {"flush_size": "8", "art_factor": "0"})
    reference = bind(shipped_policy("no-exit"), profile, config)
    found, blocks = attribute_blocks(policy, workload, "total-completion", reference, every=64, examine=300)
    expected = (simulate_compiled(policy, workload).objective("total-completion")
                - simulate_compiled(reference, workload).objective("total-completion"))
    assert found.gap == expected and found.steps > 1000
    assert any(block.examined for block in blocks)
    assert sum(cause.ticks for cause in found.causes) == expected


def test_a_negative_budget_is_refused() -> None:
    policy, reference, workload, _ = _pair(0)
    with pytest.raises(LimitError, match="examine = -1"):
        attribute_blocks(policy, workload, "makespan", reference, examine=-1)
