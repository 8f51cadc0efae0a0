"""Many workloads in one call: the integers of as many single runs, with chunked prefill, bounded idling and dues."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from drex_runtime.errors import PolicyError
from drex_runtime.records import Workload
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload
from drex_runtime.simulator.batch import TokenStrings, objectives
from drex_runtime.simulator.compiled import simulate_compiled
from tests.drex_runtime.simulator.test_compiled import OBJECTIVES, bound_case
from tests.scale import scaled

VARIANTS = 6


def variants(workload: Workload, random: Random) -> list[Workload]:
    """The workload with other depths and as many tokens or fewer."""
    def shorter(depths: tuple[int, ...], prompted: bool) -> tuple[int, ...]:
        kept = depths[:random.randint(1, len(depths))]
        return tuple(depth if prompted and t == 0 else random.randint(1, workload.num_segments)
                     for t, depth in enumerate(kept))

    return [replace(workload, requests=tuple(
        replace(request, depths=shorter(request.depths, request.prompt_tokens > 0)) for request in workload.requests))
        for _ in range(VARIANTS)]


def test_a_batch_is_as_many_runs() -> None:
    compared = failures = 0
    for seed in range(scaled(150, 2000)):
        bound, case = bound_case(seed)
        found = variants(case.workload, Random(f"batch {seed}"))
        listed = [request.depths for workload in found for request in workload.requests]
        depths = np.zeros((len(listed), max(map(len, listed))), np.int64)
        for at, string in enumerate(listed):
            depths[at, :len(string)] = string
        strings = TokenStrings(np.array([len(string) for string in listed], np.int64), depths)
        choices = np.arange(len(listed), dtype=np.int64).reshape(VARIANTS, -1)
        objective = OBJECTIVES[seed % len(OBJECTIVES)]
        values, failed = objectives(CompiledPolicy.of(bound), CompiledWorkload.of(case.workload), strings, choices,
                                    objective)
        for k, workload in enumerate(found):
            try:
                expected = simulate_compiled(bound, workload).objective(objective)
            except PolicyError:
                assert failed == k, seed
                failures += 1
                break
            assert values[k] == expected, (seed, k)
            compared += 1
        else:
            assert failed is None
    assert compared >= scaled(500, 7000)
    print(f"{compared} runs equal, {failures} batches failed where the single run fails")
