"""Both scales: inputs stay in their domain, evaluation is deterministic, nobody beats the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import numpy as np
import pytest

from drex_runtime.policies import shipped_policy
from drex_runtime.policies.generate import generate_policy
from drex_runtime.records import ServerConfig
from drex_runtime.simulator import simulate
from tests.scale import scaled
from tests.xplain.explain.cases import OBJECTIVES
from tests.xplain.tiny import PROFILE, tiny_request
from xplain.encodings.certificates.counted import Counted
from xplain.encodings.certificates.features import Shape as CertifiedShape
from xplain.problems.exact import ExactProblem
from xplain.problems.exact_features import FEATURES
from xplain.problems.generator import DIMENSIONS, LIMITS, check_space, default_space, generate
from xplain.problems.operating import Contender
from xplain.problems.structural import Request, Shape, moved, point_of, requests_of
from xplain.request import operating_problem
from xplain.space import value_at


def exact(seed: int) -> ExactProblem:
    random = Random(f"problem {seed}")
    policy = generate_policy(random) if seed % 2 else shipped_policy(random.choice(("drex", "flush-now", "threshold")))
    return ExactProblem(Contender(policy.name, policy), PROFILE, random.choice(OBJECTIVES), 0.05,
                        requests=random.randint(1, 3), tokens=random.randint(1, 3))


def test_no_policy_beats_the_optimum_and_samples_repeat() -> None:
    for seed in range(scaled(20, 300)):
        problem, rng = exact(seed), np.random.default_rng(seed)
        point = problem.draw(rng)
        for index in range(4):
            sample = problem.evaluate(point, index, "random")
            assert sample.proved and sample.gap >= 0
            assert sample == problem.evaluate(point, index, "random")
            assert sample.heuristic == simulate(problem.bound, problem.workload(point)).objective(problem.objective)
            assert all(problem.describe(name)[0] != name for name in sample.features)
            point = problem.neighbour(point, rng, 1 - index / 4)


@pytest.mark.parametrize("resize", [True, False])
def test_points_of_the_exact_scale_stay_in_their_domain(resize: bool) -> None:
    shape = exact(0).shape
    problem = ExactProblem(exact(0).heuristic, PROFILE, "makespan", 0.05, requests=shape.requests, tokens=shape.tokens,
                           resize=resize)
    rng = np.random.default_rng(0)
    point = problem.draw(rng)
    sizes = set()
    for _ in range(300):
        assert list(point) == [dimension.name for dimension in problem.dimensions]
        for dimension in problem.dimensions:
            assert point[dimension.name] in np.arange(dimension.low, dimension.high + 1)
        workload = problem.workload(point)
        assert [request.id for request in workload.requests] == list(range(len(workload.requests)))
        sizes.add(tuple(request.output_tokens for request in workload.requests))
        assert point_of(requests_of(point, problem.shape), problem.shape) == point
        point = problem.neighbour(point, rng, float(rng.random()))
    assert problem.config == ServerConfig(shape.requests, shape.requests)
    whole = (shape.tokens,) * shape.requests
    assert sizes == {whole} if not resize else sizes > {whole} and {len(size) for size in sizes} == set(
        range(1, shape.requests + 1))


def test_every_point_of_the_box_can_be_evaluated_whatever_a_method_proposes() -> None:
    """Lengths of 0 anywhere, depths where there is no token: one workload, one form of it."""
    problem, rng = exact(2), np.random.default_rng(1)
    for index in range(scaled(30, 300)):
        point = {dimension.name: value_at(dimension, rng.random()) for dimension in problem.dimensions}
        sample = problem.evaluate(point, index, "tpe")
        assert sample.gap >= 0 and problem.workload(sample.point) == problem.workload(point)
        again = problem.evaluate(sample.point, index, "tpe")
        assert again == sample


def test_every_structural_move_happens_and_changes_one_thing() -> None:
    shape = Shape(requests=3, tokens=3, num_segments=3, arrival_steps=4)
    rng = np.random.default_rng(5)
    start = [Request(1, [1, 2]), Request(2, [3])]
    seen = set()
    for _ in range(400):
        after = requests_of(moved(point_of(start, shape), shape, rng, 1), shape)
        tokens = sum(len(each.depths) for each in after) - 3
        if len(after) != 2:
            seen.add(f"requests {len(after) - 2:+d}")
        elif [each.arrival for each in after] != [1, 2]:
            assert tokens == 0
            seen.add("arrival")
        elif tokens:
            seen.add(f"tokens {tokens:+d}")
        elif after != start:
            seen.add("depth")
    assert seen >= {"requests +1", "requests -1", "arrival", "tokens +1", "tokens -1", "depth"}


def in_bounds(point: Mapping[str, float]) -> bool:
    return all(item.low <= point[item.name] <= item.high and (not item.integer or point[item.name] % 1 == 0)
               for item in default_space(8).dimensions)


def test_operating_points_stay_in_their_bounds_and_all_policies_get_the_same_resources() -> None:
    problem, rng = operating_problem(tiny_request(replicates=2), PROFILE), np.random.default_rng(0)
    point = problem.draw(rng)
    for _ in range(300):
        assert in_bounds(point)
        point = problem.neighbour(point, rng, float(rng.random()))
    configs = {problem.bound(item, point).config for item in (problem.heuristic, *problem.benchmarks)}
    assert configs == {problem.config(point)}
    sample = problem.evaluate(point, 0, "random")
    assert sample == problem.evaluate(point, 0, "random")
    assert sample.upper == min(sample.benchmarks.values())
    for contender in problem.benchmarks:
        total = sum(simulate(problem.bound(contender, point), workload).objective(problem.objective)
                    for workload in problem.workloads(point))
        assert sample.benchmarks[contender.name] == total


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_generated_workloads_have_the_stated_exit_rate_and_lengths(rate: float) -> None:
    point = {"load": 1.0, "exit_rate": rate, "persistence": 0.0, "output_tokens": 24.0, "prompt_tokens": 16.0,
             "num_seqs": 8.0}
    workloads = [generate(point, PROFILE, 8, seed, 0) for seed in range(10)]
    requests = [request for workload in workloads for request in workload.requests]
    decoded = [depth for request in requests for depth in request.depths[1:]]
    assert abs(sum(depth == 1 for depth in decoded) / len(decoded) - rate) < 0.03
    assert all(request.depths[0] == 2 for request in requests)  # token 1 comes from the prefill
    assert abs(np.mean([request.output_tokens for request in requests]) - 24) < 3
    assert abs(np.mean([request.prompt_tokens for request in requests]) - 16) < 2
    assert all(workload.requests[0].arrival == 0 for workload in workloads)
    assert generate(point, PROFILE, 8, 3, 0) == workloads[3] != generate(point, PROFILE, 8, 3, 1)


def test_higher_load_means_the_same_requests_sooner() -> None:
    point = {"load": 0.5, "exit_rate": 0.5, "persistence": 0.5, "output_tokens": 8.0, "prompt_tokens": 4.0,
             "num_seqs": 4.0}
    slow, fast = generate(point, PROFILE, 4, 0, 0), generate({**point, "load": 2.0}, PROFILE, 4, 0, 0)
    assert [item.depths for item in slow.requests] == [item.depths for item in fast.requests]
    assert slow.requests[-1].arrival == pytest.approx(4 * fast.requests[-1].arrival, rel=0.01)


def test_the_default_space_is_within_the_limits_of_its_dimensions() -> None:
    assert set(LIMITS) == set(DIMENSIONS) | {"window"}  # of a trace
    for rows in (1, 3, 8, 1000):
        check_space(default_space(rows), "default")


def test_features_are_those_that_solvers_read() -> None:
    """Two forms of one definition: for requests of any length, and for all workloads of a size at once."""
    for seed in range(scaled(20, 200)):
        problem, random = exact(seed), Random(f"features {seed}")
        n, tokens, last = problem.shape.requests, problem.shape.tokens, problem.shape.num_segments
        requests = [Request(arrival, [random.randint(1, last) for _ in range(tokens)])
                    for arrival in sorted(random.randint(0, 3) for _ in range(n))]
        found = problem.features(point_of(requests, problem.shape))
        counted = Counted(np.array([[each.depths for each in requests]]),
                          np.array([[each.arrival * problem.grid for each in requests]], np.int64),
                          CertifiedShape(n, tokens, last, problem.grid))
        for name, feature in FEATURES.items():
            assert found[name] == pytest.approx(float(counted.values(feature)[0]), abs=1e-12), name
