"""Every setting tried, with what it did on the training points: simulated once, kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from drex_runtime.policies import bind
from drex_runtime.records import ServerConfig
from drex_runtime.records.numbers import number_text
from drex_runtime.simulator.arrays import CompiledPolicy, compiled_policy
from xplain.problems.operating import OperatingProblem
from xplain.tuning.prepared import PreparedPoint
from xplain.tuning.scoring import FLOOR, MARGIN, SLACK, TAIL_WEIGHT, mean_and_tail, mixed

Values = Mapping[str, Fraction]  # those that differ from the default: the others stay unset, and go on following N
Key = tuple[tuple[str, Fraction], ...]
Floats = npt.NDArray[np.float64]
REFUSED = 1e6  # score of settings below the floor: worse than all others, the nearer to it the better


def key_of(values: Values) -> Key:
    """A setting as a dictionary's key."""
    return tuple(sorted(values.items()))


class Trials:
    """Settings of the problem's heuristic on `points`, by which they are scored, and on `challenges`, which only have
    to stay above the floor: they were sought because a setting fell below it."""

    def __init__(self, problem: OperatingProblem, points: Sequence[PreparedPoint], *, jobs: int,
                 tail_weight: float = TAIL_WEIGHT, floor: float = FLOOR) -> None:
        self.problem, self.points, self.jobs = problem, tuple(points), jobs
        self.tail_weight, self.floor = tail_weight, floor
        self.challenges: list[PreparedPoint] = []
        self._found: dict[Key, Floats] = {}  # [gap or ratio, point]
        self._challenged: dict[Key, list[float]] = {}
        # The mean is one of workloads as they come; those sought for their gap belong to the tail.
        usual = np.array([point.kind in ("benign", "recorded", "held-out") for point in self.points])
        self._usual = usual if usual.any() else np.ones(len(self.points), np.bool_)

    def __len__(self) -> int:
        return len(self._found)

    def settings(self) -> list[dict[str, Fraction]]:
        """All settings tried, in order."""
        return [dict(key) for key in self._found]

    def score(self, values: Values) -> float:
        """What is minimised: mean and tail mixed; beyond REFUSED if throughput falls below the floor somewhere."""
        short = self.shortfall(values)
        if short > 0:
            return REFUSED + short
        return mixed(*self.mean_and_tail(values), self.tail_weight)

    def allowed(self, values: Values) -> bool:
        """Whether a setting keeps the floor."""
        return self.shortfall(values) <= 0

    def shortfall(self, values: Values) -> float:
        """By how much a setting misses what is asked of points (the floor less SLACK, as short runs scatter) and of
        challenges (the floor and MARGIN); those are run only if the points are kept, and up to the first that is not.
        """
        short = self.floor - SLACK - float(self._outcome(values)[1].min())
        if short > 0:
            return short
        known = self._challenged.setdefault(key_of(values), [])
        asked = self.floor + MARGIN
        for point in self.challenges[len(known):]:
            if known and min(known) < asked:
                break
            known += self.ratios(values, [point])
        return max([short, *(asked - ratio for ratio in known)])

    def mean_and_tail(self, values: Values) -> tuple[float, float]:
        """Mean relative gap of the workloads that come as they come, and mean of the worst quarter of all."""
        gaps = self._outcome(values)[0]
        return float(gaps[self._usual].mean()), mean_and_tail(gaps)[1]

    def minimum_ratio(self, values: Values) -> float:
        """Least throughput over that of `no-exit` on any point or challenge run."""
        self.shortfall(values)
        least = float(self._outcome(values)[1].min())
        return min([least, *self._challenged.get(key_of(values), [])])

    def ratios(self, values: Values, points: Sequence[PreparedPoint]) -> list[float]:
        """Least throughput over that of `no-exit` at each of any points."""
        return [ratio for _, ratio in self._run(values, points)]

    def best(self) -> dict[str, Fraction]:
        """The setting with the best score; the earlier of equals."""
        return min(self.settings(), key=self.score)

    # ---- inside -------------------------------------------------------------------------------------------
    def _outcome(self, values: Values) -> Floats:
        key = key_of(values)
        if key not in self._found:
            self._found[key] = np.array(self._run(values, self.points)).T
        return self._found[key]

    def _run(self, values: Values, points: Sequence[PreparedPoint]) -> list[tuple[float, float]]:
        """(relative gap, least throughput ratio) at each point."""
        programs = self._programs(values, points)

        def one(point: PreparedPoint) -> tuple[float, float]:
            found = point.run(programs[point.config])
            return found.gap, found.least

        if self.jobs == 1 or len(points) < 2:
            return [one(point) for point in points]
        found: list[tuple[float, float]] = Parallel(n_jobs=self.jobs, prefer="threads")(
            delayed(one)(point) for point in points)
        return found

    def _programs(self, values: Values, points: Sequence[PreparedPoint]) -> dict[ServerConfig, CompiledPolicy]:
        problem = self.problem
        settings = {**problem.heuristic.settings, **{name: number_text(value) for name, value in values.items()}}
        return {config: compiled_policy(bind(problem.heuristic.policy, problem.profile, config, settings))
                for config in {point.config for point in points}}
