"""Tiny gap problems with random policies, and their largest gap by looking at every workload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from drex_runtime.errors import DrexError, PolicyError
from drex_runtime.policies import bind
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.program import compile_policy
from drex_runtime.records import CostProfile, ServerConfig
from tests.generators import Case, random_config, random_profile
from tests.independent.tables import random_policy
from xplain.encodings.gap import GapProblem, ReplayedGap
from xplain.encodings.steps import InputSpace, RequestSpace
from xplain.encodings.steps.listing import every_workload

SIZES = ((2, 2, 1), (2, 3, 1), (3, 2, 1), (2, 2, 2))  # requests, tokens, ramps
MOST_WORKLOADS = 150


def random_space(random: Random, requests: int, tokens: int, ramps: int) -> InputSpace:
    """Half of the spaces are plain; the others have prompts, arrivals on a grid, several lengths."""
    plain, found = random.random() < 0.5, []
    for _ in range(requests):
        prompt = 0 if plain or random.random() < 0.6 else random.randint(1, 4)
        lengths = (tokens,) if plain or random.random() < 0.7 else (tokens - 1, tokens)
        arrivals = (0,) if plain or random.random() < 0.5 else random.choice(((0, 7), (4,), (3, 11)))
        due = None if plain or random.random() < 0.6 else random.randint(12, 60)
        found.append(RequestSpace(lengths, arrivals, prompt, due))
    return InputSpace(ramps + 1, tuple(sorted(found, key=lambda each: each.arrivals)))


def bound_policy(random: Random, profile: CostProfile, config: ServerConfig) -> BoundPolicy | None:
    """A policy of either generator; None if the encodings refuse it."""
    segments = profile.num_segments
    table = random_policy(random.randrange(10**6), segments) if random.random() < 0.5 else \
        generate_policy(random, num_segments=segments)
    try:
        policy = bind(table, profile, config)
        compile_policy(policy)
    except DrexError:
        return None
    return policy


def gap_problems(sizes: tuple[tuple[int, int, int], ...] = SIZES) -> Iterator[GapProblem]:
    """Without end. A third has a second policy as benchmark, half the makespan as objective."""
    seed = 0
    while True:
        random = Random(f"gap problem {seed}")
        requests, tokens, ramps = sizes[seed % len(sizes)]
        seed += 1
        config = ServerConfig(*random_config(random, requests))
        profile = random_profile(random, ramps + 1, max(config.batch_max, requests))
        policy = bound_policy(random, profile, config)
        benchmark = bound_policy(random, profile, config) if random.random() < 0.33 else None
        if policy is None:
            continue
        problem = GapProblem(random_space(random, requests, tokens, ramps), policy, benchmark,
                             random.choice(("makespan", "total-completion")))
        if len(list(every_workload(problem.space))) <= MOST_WORKLOADS:
            yield problem


def gaps_by_hand(problem: GapProblem) -> list[ReplayedGap]:
    """The gap of every workload on which the policies come to an end."""
    found = []
    for workload in every_workload(problem.space):
        try:
            found.append(problem.replay(workload))
        except PolicyError:
            continue
    return found


def uncapped(problem: GapProblem) -> GapProblem:
    """The same with room for everybody."""
    n = len(problem.space.requests)
    config = replace(problem.config, batch_max=n, max_num_seqs=n)

    def rebound(policy: BoundPolicy) -> BoundPolicy:
        return bind(policy.policy, problem.profile, config)

    return GapProblem(problem.space, rebound(problem.policy), None if problem.benchmark is None else
                      rebound(problem.benchmark), problem.objective)


def as_case(problem: GapProblem, seed: int = 0) -> Case:
    """For counting features."""
    return Case(seed, max(every_workload(problem.space), key=lambda each: each.requests[-1].arrival),
                problem.profile, problem.config)
