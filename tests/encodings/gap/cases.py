"""Random tiny gap problems, and their largest gap by trying every workload with the independent brute force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from random import Random

from drex_runtime.errors import DrexError
from drex_runtime.policies import bind
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.program import compile_policy
from drex_runtime.records import CostProfile, Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator import simulate
from tests.generators import Case, small_case
from tests.independent.brute_force import BruteForce
from tests.independent.tables import random_policy
from xplain.encodings.gap import GapProblem
from xplain.encodings.steps.inputs import InputSpace, RequestSpace

OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion")


@dataclass(frozen=True)
class GapCase:
    """A problem and the case it was made from."""

    seed: int
    case: Case
    problem: GapProblem


def all_workloads(space: InputSpace) -> Iterator[Workload]:
    """Every workload of a space, by its definition."""
    def options(i: int, each: RequestSpace) -> Iterator[Request]:
        for arrival, length in product(each.arrivals, each.lengths):
            for depths in product(range(1, space.num_segments + 1), repeat=length):
                if not each.prompt_tokens or depths[0] == space.num_segments:
                    yield Request(i if each.id is None else each.id, arrival, each.prompt_tokens, depths, each.due,
                                  each.ttft, each.tpot)

    for requests in product(*(list(options(i, each)) for i, each in enumerate(space.requests))):
        keys = [(request.arrival, request.id) for request in requests]
        if all(one < other for one, other in pairwise(keys)):
            yield Workload(space.num_segments, requests, space.tick)


def brute_gap(problem: GapProblem, workload: Workload) -> int:
    """H by the reference simulator, less the benchmark's run or the brute force's optimum."""
    cost = simulate(problem.policy, workload).objective(problem.objective)
    if problem.benchmark is not None:
        return cost - simulate(problem.benchmark, workload).objective(problem.objective)
    return cost - BruteForce(workload, problem.profile, problem.config, problem.objective).optimum()


def largest_gap(problem: GapProblem) -> int | None:
    """Over every workload of the space; None if it has none."""
    return max((brute_gap(problem, workload) for workload in all_workloads(problem.space)), default=None)


def gap_cases(max_workloads: int, *, fixed: bool = False) -> Iterator[GapCase]:
    """Cases without end. `fixed`: one arrival and one length per request. A third has equal requests, a quarter another
    policy as the benchmark."""
    seed = 0
    while True:
        random = Random(f"gap case {seed}")
        case = small_case(seed, 400)
        space = _space(random, case, fixed)
        objective, policies = random.choice(OBJECTIVES), _policies(random, case, seed)
        seed += 1
        if policies is None or sum(1 for _ in zip(all_workloads(space), range(max_workloads + 1),
                                                  strict=False)) > max_workloads:
            continue
        benchmark = policies[1] if random.random() < 0.25 else None
        yield GapCase(seed - 1, case, GapProblem(space, policies[0], benchmark, objective))


def _policies(random: Random, case: Case, seed: int) -> tuple[BoundPolicy, BoundPolicy] | None:
    """Two policies from both generators; None if one cannot be compiled."""
    segments = case.workload.num_segments
    tables = [random_policy(seed, segments), generate_policy(random, num_segments=segments)]
    random.shuffle(tables)
    try:
        found = tuple(bind(table, case.profile, case.config) for table in tables)
        for policy in found:
            compile_policy(policy)
    except DrexError:
        return None
    return found[0], found[1]


def _space(random: Random, case: Case, fixed: bool) -> InputSpace:
    """Around the case's workload; equal requests, several lengths and arrivals where the dice say so."""
    space = InputSpace.around(case.workload)
    requests = list(space.requests)
    if random.random() < 0.35:
        shape = replace(requests[0], id=None)
        requests = [shape] * len(requests)
    if not fixed and random.random() < 0.4:
        requests = [replace(each, lengths=tuple(sorted({1, *each.lengths}))) for each in requests]
    if not fixed and random.random() < 0.4:
        grid = tuple(sorted({0, random.randint(1, 9), *(each.arrivals[0] for each in requests)}))
        requests = [replace(each, arrivals=grid) for each in requests]
    return replace(space, requests=tuple(requests))


def uncapped(problem: GapProblem) -> GapProblem:
    """The same problem with room for everybody."""
    num = len(problem.space.requests)
    profile = problem.profile
    if profile.max_rows < num:
        profile = _wider(profile, num)
    config = ServerConfig(num, num)
    other = problem.benchmark
    return GapProblem(problem.space, bind(problem.policy.policy, profile, config),
                      None if other is None else bind(other.policy, profile, config), problem.objective)


def _wider(profile: CostProfile, rows: int) -> CostProfile:
    return replace(profile, buckets=(*profile.buckets[:-1], rows))
