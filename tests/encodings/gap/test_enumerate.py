"""Enumeration finds the largest gap there is: held to trying every workload with the independent brute force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice, permutations

import pytest

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.records import Workload
from drex_runtime.simulator import simulate
from tests.encodings.gap.cases import all_workloads, brute_gap, gap_cases, largest_gap, uncapped
from tests.encodings.gap.tiny import idler, tiny_problem
from tests.generators import Quota
from tests.scale import scaled
from xplain.encodings.exact import solve
from xplain.encodings.gap import GapProblem, Progress
from xplain.encodings.gap.enumerate_method import maximize
from xplain.encodings.gap.enumeration.optima import Optima
from xplain.encodings.gap.enumeration.orbits import Orbits, obstacle_to_symmetry
from xplain.encodings.gap.watch import Watch


def test_it_is_the_largest_gap_over_every_workload() -> None:
    """Caps, arrivals, prompts, several lengths, K from 0 to 3, both objectives, both kinds of benchmark."""
    quota, seen = Quota(), Counter[str]()
    for each in islice(gap_cases(scaled(90, 200, "workloads of a gap case")),
                       scaled(60, 300, "enumerate = every workload")):
        problem = each.problem
        try:
            expected = largest_gap(problem)
        except PolicyError as error:
            with pytest.raises(PolicyError, match=r"idles for ever|ramp rule"):
                maximize(problem)
            seen[type(error).__name__] += 1
            continue
        answer = maximize(problem)
        assert (answer.lower, answer.upper) == (expected, expected), each.seed
        assert answer.stopped == ("infeasible" if expected is None else "proved"), each.seed
        if answer.witness is not None:
            assert brute_gap(problem, answer.witness.workload) == expected
            assert answer.witness.workload in set(all_workloads(problem.space))
        quota.add(each.case)
        seen.update({problem.objective: 1, "policy benchmark": problem.benchmark is not None,
                     "by orbits": "exchanging" in answer.detail})
    print(seen)
    quota.require(scaled(8, 40), ("batch_max < n", "N < n", "arrivals", "prompts", "K = 2"))
    assert min(seen[name] for name in ("makespan", "total-completion", "policy benchmark",
                                       "by orbits")) >= scaled(5, 25)


def test_orbits_are_all_there_is_where_symmetry_is_claimed() -> None:
    """Every workload's gap is that of some listed one; and H does not change when requests change places."""
    checked = 0
    for each in islice(gap_cases(scaled(80, 300)), scaled(40, 400)):
        problem = uncapped(each.problem)
        if obstacle_to_symmetry(problem) is not None:
            continue
        try:
            every = {gap_of(problem, workload) for workload in all_workloads(problem.space)}
        except PolicyError:
            continue
        orbits = Orbits(problem.space, symmetric=True)
        listed = [orbits.workload(block.arrivals, row.tolist()) for block in orbits.blocks(7) for row in block.choices]
        assert {gap_of(problem, workload) for workload in listed} == every, each.seed
        assert len(listed) == orbits.count() == len(set(listed))
        checked += len(listed) < sum(1 for _ in all_workloads(problem.space))
    assert checked >= scaled(8, 60)


def gap_of(problem: GapProblem, workload: Workload) -> int:
    """As replayed, without its cross-checks."""
    cost = simulate(problem.policy, workload).objective(problem.objective)
    if problem.benchmark is not None:
        return cost - simulate(problem.benchmark, workload).objective(problem.objective)
    return cost - solve(workload, problem.profile, problem.config, problem.objective).interval.upper


def test_caps_switch_symmetry_off_for_a_reason() -> None:
    """With a cap the policy's cost depends on who has which depths, and enumeration sees it."""
    problem = tiny_problem("drex", 3, 3, batch_max=2)
    costs = {workload: simulate(problem.policy, workload).objective("total-completion")
             for workload in all_workloads(problem.space)}
    exchanged = [costs[workload] != costs[_permuted(workload, order)] for workload in costs
                 for order in permutations(range(3))]
    assert any(exchanged)
    assert "batch_max = 2 is below the 3 requests" in maximize(problem).detail


def test_what_stands_against_symmetry_is_named() -> None:
    assert "batch_max = 2" in str(obstacle_to_symmetry(tiny_problem("drex", 3, 2, batch_max=2)))
    assert "max_num_seqs = 2" in str(obstacle_to_symmetry(tiny_problem("drex", 3, 2, places=2)))
    assert "batch_limit of drex, 2" in str(obstacle_to_symmetry(tiny_problem("drex", 3, 2, batch_limit=2)))
    assert obstacle_to_symmetry(tiny_problem("drex", 3, 2)) is None


def _permuted(workload: Workload, order: tuple[int, ...]) -> Workload:
    requests = [replace(request, depths=workload.requests[at].depths)
                for request, at in zip(workload.requests, order, strict=True)]
    return replace(workload, requests=tuple(requests))


def test_bounds_by_parts_lie_below_the_optimum() -> None:
    used = 0
    for each in islice(gap_cases(60), scaled(40, 300)):
        problem = replace(each.problem, benchmark=None)
        optima = Optima(problem, Watch(None))
        sizes = optima.sizes(len(problem.space.requests))
        for workload in islice(all_workloads(problem.space), 20):
            items = tuple((request.arrival, request.prompt_tokens, request.depths) for request in workload.requests)
            optimum = solve(workload, problem.profile, problem.config, problem.objective).interval.upper
            for size in sizes:
                found = optima.bound(items, size)
                assert found.lower <= optimum <= found.upper, (each.seed, size)
            assert found.lower == optimum
            used += len(sizes) > 1
    assert used >= scaled(200, 1200)


def test_a_policy_that_idles_for_ever_is_reported_with_its_workload() -> None:
    problem = tiny_problem(idler(), 2, 3)
    with pytest.raises(PolicyError, match=r"fails on a workload of the space \(request 0 at 0 depths .*idles for ever"):
        maximize(problem)


def test_a_time_limit_leaves_a_bound_or_says_that_there_is_none() -> None:
    problem = tiny_problem("drex", 4, 3, batch_max=2)
    best = maximize(problem).lower
    cut = maximize(problem, seconds=0)
    assert (cut.stopped, cut.upper, cut.proof) == ("time-limit", None, None)
    assert "no bound" in cut.detail
    for seconds in (0.02, 0.1, 0.3):
        cut = maximize(problem, seconds=seconds)
        assert best is not None
        assert (cut.lower or 0) <= best <= (best if cut.upper is None else cut.upper)


def test_progress_tightens_and_ends_at_the_answer() -> None:
    seen: list[Progress] = []
    answer = maximize(tiny_problem("drex", 3, 3, batch_max=2), on_progress=seen.append)
    assert tuple(seen) == answer.progress
    lowers = [each.lower for each in seen if each.lower is not None]
    uppers = [each.upper for each in seen if each.upper is not None]
    assert lowers == sorted(lowers)
    assert uppers == sorted(uppers, reverse=True)
    assert lowers[-1] == uppers[-1] == answer.lower


def test_misses_are_counted_against_another_policy() -> None:
    problem = tiny_problem("drex", 2, 2, batch_max=1, benchmark="no-exit", objective="misses", due=4000)
    assert maximize(problem).lower == largest_gap(problem)


def test_another_solver_is_refused() -> None:
    with pytest.raises(LimitError, match="solver = highs: enumeration needs none"):
        maximize(tiny_problem("drex", 2, 1), solver="highs")


def test_too_many_token_strings_are_refused() -> None:
    with pytest.raises(LimitError, match=r"can have 2097152 token strings, more than 1048576"):
        maximize(tiny_problem("drex", 2, 21))
