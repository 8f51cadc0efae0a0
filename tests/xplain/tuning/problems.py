"""Small operating problems that tests of tuning share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drex_runtime.policies import shipped_policy
from drex_runtime.records import CostProfile
from tests.xplain.tiny import PROFILE
from xplain.problems.generator import default_space
from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Point, Sample
from xplain.tuning.prepared import PreparedPoint, prepared


def operating(policy: str = "drex", *, profile: CostProfile = PROFILE, **settings: str) -> OperatingProblem:
    """Six places, eight tokens, one workload per point."""
    space = default_space(8)
    for name, value in (("output_tokens", 8), ("prompt_tokens", 4), ("num_seqs", 6)):
        space = space.restricted(name, value)
    benchmarks = tuple(Contender(name, shipped_policy(name)) for name in ("no-exit", "flush-now"))
    return OperatingProblem(Contender(policy, shipped_policy(policy), settings), benchmarks, profile, space,
                            "total-completion", 0.05, seed=0, replicates=1)


def samples_of(problem: OperatingProblem, count: int = 8) -> list[Sample]:
    """Drawn from the declared distribution."""
    rng = np.random.default_rng(5)
    return [problem.evaluate(problem.draw(rng), index, "random") for index in range(count)]


def points_of(problem: OperatingProblem, count: int, more: Sequence[Point] = ()) -> list[PreparedPoint]:
    """The points of `samples_of` and others, as training points."""
    rng = np.random.default_rng(5)
    points = [*(problem.draw(rng) for _ in range(count)), *more]
    return [prepared(problem, point, "benign") for point in points]
