"""The best replayed workload so far, with the course of the search: what every method builds its answer from."""

from __future__ import annotations

from random import Random
from time import perf_counter

from drex_runtime.errors import PolicyError
from drex_runtime.records import Workload
from drex_runtime.simulator import simulate
from xplain.encodings.gap.answer import GapAnswer, Method, Progress, Proof, Stopped
from xplain.encodings.gap.mismatch import ReplayMismatch
from xplain.encodings.gap.problem import GapProblem, ReplayedGap
from xplain.encodings.gap.service import least_cost
from xplain.encodings.gap.watch import OnProgress
from xplain.encodings.steps.listing import random_workload

DRAWN = 10  # workloads drawn for one that is replayed


class Witness:
    """`best`: largest replayed gap; `upper`: least proved bound. Every change goes to `progress` and `on_progress`."""

    def __init__(self, problem: GapProblem, on_progress: OnProgress | None = None) -> None:
        self.problem, self.on_progress = problem, on_progress
        self.began = perf_counter()
        self.best: ReplayedGap | None = None
        self.upper: int | None = None
        self.progress: list[Progress] = []

    @property
    def lower(self) -> int | None:
        """Gap of the best workload."""
        return None if self.best is None else self.best.gap

    @property
    def seconds(self) -> float:
        """Since the question was asked."""
        return perf_counter() - self.began

    def offer(self, found: ReplayedGap) -> None:
        """Keep it if it is better."""
        if self.best is None or found.gap > self.best.gap:
            self.best = found
            self._note()

    def bound(self, upper: int) -> None:
        """Nothing exceeds `upper` ticks."""
        if self.upper is None or upper < self.upper:
            self.upper = upper
            self._note()

    def sample(self, count: int, seed: int, seconds: float | None) -> None:
        """Replay the `count` most promising of many random workloads, while `seconds` last; those on which a policy
        comes to no end are left out."""
        random, drawn = Random(seed), dict[Workload, int]()
        for _ in range(DRAWN * count):
            workload = random_workload(self.problem.space, random)
            if workload is None or (seconds is not None and self.seconds >= seconds):
                break
            try:
                drawn.setdefault(workload, self._promise(workload))
            except PolicyError:
                continue
        for workload in sorted(drawn, key=lambda each: -drawn[each])[:count]:
            if seconds is not None and self.seconds >= seconds:
                return
            try:
                self.offer(self.problem.replay(workload))
            except PolicyError:
                continue

    def _promise(self, workload: Workload) -> int:
        """What the gap could be at most, cheaply."""
        problem = self.problem
        heuristic = simulate(problem.policy, workload).objective(problem.objective)
        return heuristic - least_cost(problem.profile, problem.config, workload, problem.objective)

    def answer(self, method: Method, solver: str, proof: Proof | None, stopped: Stopped, detail: str,
               log: str = "") -> GapAnswer:
        """The answer as it stands. "proved" is decided here: only where witness and bound meet.

        Raises ReplayMismatch if a replayed workload loses more than the proved bound.
        """
        if self.upper is not None and self.lower is not None and self.lower >= self.upper:
            if self.lower > self.upper:
                raise ReplayMismatch(f"{solver} proves that no gap exceeds {self.upper}, but a workload loses "
                                     f"{self.lower}: {self.best}")
            stopped = "proved"
        elif stopped == "proved":
            stopped, detail = "failed", f"{detail}; claimed as proved, but witness and bound do not meet"
        return GapAnswer(method, solver, stopped, self.best, self.upper, proof if self.upper is not None else None,
                         self.seconds, detail, tuple(self.progress), log)

    def _note(self) -> None:
        self.progress.append(Progress(self.seconds, self.lower, self.upper))
        if self.on_progress is not None:
            self.on_progress(self.progress[-1])
