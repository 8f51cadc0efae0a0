"""Many workloads at once: the same attributions as one by one, whatever the number of processes."""

from __future__ import annotations

import numpy as np
import pytest

from drex_runtime.errors import PolicyError, RecordError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.simulator import simulate
from tests.scale import scaled
from tests.xplain.explain.cases import regret_case
from tests.xplain.explain.test_sums import attributed
from tests.xplain.tiny import PROFILE
from xplain.encodings.exact import solve
from xplain.explain.many import FEW, attribute_many
from xplain.explain.regret import summarise
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender


def test_the_same_as_one_by_one() -> None:
    for seed in range(scaled(20, 400)):
        case = regret_case(seed)
        found = attribute_many(case.policy, [case.workload], case.objective, samples=[7], region="R1")[0]
        assert found.attribution == summarise(attributed(case), 7, "R1", "clairvoyant")
        assert found.heuristic == simulate(case.policy, case.workload).objective(case.objective)
        optimum = solve(case.workload, case.policy.profile, case.policy.config, case.objective).interval
        assert found.optimum == optimum.upper and optimum.proved
        assert sum(decision.regret for decision in found.decisions) == found.attribution.gap
        assert all(sum(part.ticks for part in item.parts) == item.regret for item in found.decisions)


def test_processes_change_nothing() -> None:
    problem = ExactProblem(Contender("drex", shipped_policy("drex"), {"art_factor": "0"}), PROFILE, "total-completion",
                           0.05, requests=3, tokens=2)
    rng = np.random.default_rng(0)
    workloads = [problem.workload(problem.draw(rng)) for _ in range(FEW + 6)]
    assert attribute_many(problem.bound, workloads, "makespan", jobs=2) == attribute_many(
        problem.bound, workloads, "makespan")


def test_what_cannot_be_attributed_is_refused() -> None:
    case = regret_case(0)
    with pytest.raises(RecordError, match="one index per workload, 1"):
        attribute_many(case.policy, [case.workload], case.objective, samples=[1, 2])
    online = bind(shipped_policy("drex"), PROFILE, case.policy.config, {"art_factor": "online"})
    with pytest.raises(PolicyError, match="online"):
        attribute_many(online, [], "makespan")
    greedy = bind(shipped_policy("greedy"), case.policy.profile, case.policy.config)
    with pytest.raises(PolicyError, match="EXIT_ALL"):
        attribute_many(greedy, [case.workload], case.objective)
    assert attribute_many(case.policy, [], case.objective) == ()
