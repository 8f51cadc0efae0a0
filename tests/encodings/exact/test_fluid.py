"""Bounds for hundreds of requests never exceed the optimum, by exact search and by brute force, for every objective."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Place
from drex_runtime.simulator.compiled import simulate_compiled
from tests.generators import Case, Quota, simulator_case, small_case
from tests.independent.brute_force import BruteForce, Node
from tests.scale import scaled
from tests.xplain.tiny import PROFILE
from xplain.encodings.exact import Limits, solve
from xplain.encodings.exact.fluid import lower_bound, mean_busy, shortest_remaining
from xplain.encodings.exact.shares import SCALE, Share, Shares
from xplain.problems.generator import generate

POLICIES = ("no-exit", "flush-now", "drex", "drex-due", "adaptive", "threshold", "consensus")


class FewestMisses(BruteForce):
    """Missed due dates by trying everything."""

    def cost_to_go(self, node: Node) -> int:
        known = self.memo.get(node)
        if known is None:
            steps = [self.apply(node, action) for action in self.actions(node)]
            known = min((cost + self.cost_to_go(after) for cost, after in steps), default=0)
            self.memo[node] = known
        return known

    def apply(self, node: Node, action: Action) -> tuple[int, Node]:
        _, after = super().apply(node, action)
        at = after.now
        if action.kind is Kind.SPLIT and len(self.ready(node)) < len(self.members(node.rows, Place.RUNNING)):
            at -= self.profile.rebatch  # completed before the others were parked
        late = 0
        for request, before, now in zip(self.requests, node.rows, after.rows, strict=True):
            done = now.place == Place.DONE and before.place != Place.DONE
            late += done and request.due is not None and at > request.due
        return int(late), after


@pytest.mark.parametrize("objective", ["makespan", "total-completion"])
def test_no_bound_exceeds_the_optimum(objective: Objective) -> None:
    quota, tight = Quota(), 0
    for seed in range(scaled(100, 4000)):
        case = small_case(seed)
        found = solve(case.workload, case.profile, case.config, objective, limits=Limits(seconds=20))
        bound = lower_bound(case.workload, case.profile, case.config, objective)
        assert bound.value <= found.interval.upper, (seed, bound)
        tight += bound.value * 10 >= found.interval.upper * 7
        quota.add(case)
    quota.require(10)
    assert tight > quota.cases // 3  # bounds that are always far away would pass, too


def due_case(seed: int) -> Case:
    random, case = Random(f"dues {seed}"), small_case(seed, 1500)
    shares = Shares(case.profile, case.config).of(case.workload)
    requests = [replace(item, due=item.arrival + random.randint(share.chain // 2, 3 * share.chain + 1))
                for item, share in zip(case.workload.requests, shares, strict=True)]
    return replace(case, workload=replace(case.workload, requests=tuple(requests)))


def test_no_more_are_surely_late_than_the_best_schedule_makes_late() -> None:
    positive = 0
    for seed in range(scaled(30, 1500)):
        case = due_case(seed)
        best = FewestMisses(case.workload, case.profile, case.config, "makespan")
        bound = lower_bound(case.workload, case.profile, case.config, "misses")
        optimum = best.cost_to_go(best.initial())
        assert bound.value <= optimum, (seed, bound, optimum)
        positive += bound.value > 0
    assert positive >= 5


@pytest.mark.parametrize("objective", ["makespan", "total-completion", "misses"])
def test_no_policy_beats_a_bound(objective: Objective) -> None:
    """Larger workloads, chunked prefill, bounded idling, up to four segments; one segment, one request among them."""
    for seed in range(scaled(60, 1500)):
        case = simulator_case(seed)
        bound = lower_bound(case.workload, case.profile, case.config, objective)
        for name in POLICIES:
            run = simulate_compiled(bind(shipped_policy(name), case.profile, case.config), case.workload)
            assert bound.value <= run.objective(objective), (seed, name, bound)


@pytest.mark.parametrize(("rate", "places", "rows"), [(0.0, 16, 8), (1.0, 16, 8), (0.5, 1, 1), (0.5, 8, 8)],
                         ids=["no exits", "all exits", "N = 1", "half exit"])
def test_generated_workloads_of_every_kind(rate: float, places: int, rows: int) -> None:
    point = {"load": 1.2, "exit_rate": rate, "output_tokens": 12.0, "prompt_tokens": 8.0, "num_seqs": float(places),
             "slo": 1.5, "burstiness": 3.0, "similarity": 0.5}
    workload, config = generate(point, PROFILE, rows, 3, 0), ServerConfig(rows, places)
    for objective in ("makespan", "total-completion", "misses"):
        bound = lower_bound(workload, PROFILE, config, objective)
        values = [simulate_compiled(bind(shipped_policy(name), PROFILE, config), workload).objective(
            objective) for name in POLICIES]
        assert 0 <= bound.value <= min(values)
        if objective != "misses":
            assert bound.value > 0.2 * min(values)


def test_one_request_alone_is_bounded_exactly() -> None:
    """Nothing to share, nothing to wait for: the chain is what a request takes."""
    profile: CostProfile = PROFILE
    workload = Workload.of(2, [Request(0, 70, 5, (2, 1, 2, 1), due=71)], tick=profile.tick)
    config = ServerConfig(4, 4)
    for objective in ("makespan", "total-completion"):
        best = solve(workload, profile, config, objective).interval
        assert lower_bound(workload, profile, config, objective).value == best.upper
    assert lower_bound(workload, profile, config, "misses").value == 1


def test_single_machine_schedules_by_hand() -> None:
    """Work 4 at 0, work 1 at 1: the short one first gives 2 + 5; its mean busy times are 1.5, and (0.5 + 3 * 3.5) / 4.
    """
    shares = [Share(0, None, 0, 4 * SCALE, 0), Share(1, None, 0, SCALE, 0)]
    assert shortest_remaining(shares) == 2 + 5
    assert mean_busy(shares) == int(1.5 + (0.5 + 3 * 3.5) / 4)
