"""Exchangeable requests are sorted only where that loses no worst case; with a cap that binds it would."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, permutations

from drex_runtime.errors import PolicyError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import ServerConfig, Workload
from tests.encodings.gap.tiny_problems import gap_problems, uncapped
from tests.scale import scaled
from tests.xplain.tiny import PROFILE
from xplain.encodings.gap import GapProblem
from xplain.encodings.gap.symmetry import exchangeable, require_sorted
from xplain.encodings.steps import Inputs, InputSpace, RequestSpace
from xplain.encodings.steps.listing import every_workload
from xplain.encodings.terms import Terms, evaluate


def gap_of(problem: GapProblem, workload: Workload) -> int | None:
    """None where a policy comes to no end."""
    try:
        return problem.replay(workload).gap
    except PolicyError:
        return None


def renamed(problem: GapProblem, workload: Workload, order: dict[int, int]) -> Workload:
    """Request i gets the depths of request order[i]."""
    requests = workload.requests
    return Workload.of(workload.num_segments, [replace(request, depths=requests[order.get(i, i)].depths)
                                               for i, request in enumerate(requests)], tick=workload.tick)


def sorted_ones(problem: GapProblem, groups: tuple[tuple[int, ...], ...]) -> set[Workload]:
    """Workloads that the constraints leave."""
    terms = Terms()
    inputs = Inputs(terms, problem.space)
    require_sorted(inputs, groups)
    kept = set()
    for workload in every_workload(problem.space):
        found = evaluate([each for _, each in terms.required], inputs.assignment(workload))
        if all(found[each.index] for _, each in terms.required):
            kept.add(workload)
    return kept


def test_renaming_exchangeable_requests_changes_no_gap() -> None:
    grouped = 0
    for problem in map(uncapped, islice(gap_problems(), scaled(30, 500))):
        for group in exchangeable(problem):
            grouped += 1
            kept = sorted_ones(problem, (group,))
            for workload in islice(every_workload(problem.space), 0, None, scaled(7, 1)):
                orders = [dict(zip(group, each, strict=True)) for each in permutations(group)]
                family = {renamed(problem, workload, order) for order in orders}
                assert len({gap_of(problem, each) for each in family}) == 1
                assert len(family & kept) == 1, "exactly one of a family is kept"
    assert grouped >= scaled(3, 50)


def test_it_switches_itself_off_where_a_cap_binds() -> None:
    capped = 0
    for problem in islice(gap_problems(), scaled(60, 600)):
        n = len(problem.space.requests)
        limits = (problem.config.batch_max, problem.config.max_num_seqs, problem.policy.batch_limit,
                  n if problem.benchmark is None else problem.benchmark.batch_limit)
        if min(limits) < n:
            capped += 1
            assert exchangeable(problem) == ()
    assert capped >= scaled(20, 200)


def test_with_a_cap_sorting_would_lose_the_worst_case() -> None:
    """Why the precondition is there: two rows a launch, three requests, first come first served."""
    space = InputSpace(2, (RequestSpace((2,)),) * 3)
    problem = GapProblem(space, bind(shipped_policy("drex"), PROFILE, ServerConfig(2, 3)))
    assert exchangeable(problem) == () and exchangeable(uncapped(problem)) == ((0, 1, 2),)
    worst = {workload: problem.replay(workload).gap for workload in every_workload(space)}
    kept = sorted_ones(problem, ((0, 1, 2),))
    assert max(worst[each] for each in kept) < max(worst.values())


def test_what_differs_is_not_exchanged() -> None:
    one = RequestSpace((2,))
    config = ServerConfig(4, 4)
    for other in (RequestSpace((2,), prompt_tokens=3), RequestSpace((2,), due=50), RequestSpace((1, 2)),
                  RequestSpace((2,), (5,)), RequestSpace((2,), (0, 5))):
        problem = GapProblem(InputSpace(2, (one, other)), bind(shipped_policy("drex"), PROFILE, config))
        assert exchangeable(problem) == ()
    arrivals = RequestSpace((2,), (0, 5))
    problem = GapProblem(InputSpace(2, (arrivals, arrivals)), bind(shipped_policy("drex"), PROFILE, config))
    assert exchangeable(problem) == (), "arrivals that are variables may differ"
