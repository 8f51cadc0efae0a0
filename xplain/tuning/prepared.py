"""Points made ready to be run many times: everything that no setting changes is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import ServerConfig
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.problems.operating import OperatingProblem
from xplain.problems.trace_source import TraceSource
from xplain.records import Point, Region, Sample
from xplain.tuning.scoring import ENOUGH_TOKENS

Kind = Literal["adversarial", "benign", "recorded", "challenge", "held-out"]
REFERENCE = shipped_policy("no-exit")  # what a setting's throughput is measured against


@dataclass(frozen=True)
class PreparedPoint:
    """A point with its workloads; the first `counted` make up its gap. `upper`: the benchmark's objective, summed over
    those (ticks); `per`: what a gap is divided by; `spans`: makespan of `no-exit` on each workload, at equal N and
    batch_max; `groups`: first workload of each group (and the end) over which a throughput is measured. The makespan
    of a few dozen passes hangs on who is the last and on how prefills fall between decodes (single generated workloads
    of a point scatter by 3 to 8 %, whatever the policy), so groups are long enough."""

    kind: Kind
    config: ServerConfig
    objective: Objective
    workloads: tuple[CompiledWorkload, ...]
    counted: int
    upper: int
    per: int
    spans: tuple[int, ...]
    groups: tuple[int, ...]

    def run(self, program: CompiledPolicy) -> Outcome:
        """A policy on this point."""
        runs = [simulate_compiled(program, workload) for workload in self.workloads]
        spent = sum(int(run.objective(self.objective)) for run in runs[:self.counted])
        spans = np.array([run.makespan for run in runs], np.float64)
        reference, starts = np.array(self.spans, np.float64), self.groups[:-1]
        ratios = np.add.reduceat(reference, starts) / np.add.reduceat(spans, starts)
        return Outcome((spent - self.upper) / self.per, float(reference.sum() / spans.sum()), float(ratios.min()))


@dataclass(frozen=True)
class Outcome:
    """Relative gap to the benchmark; throughput over `no-exit`'s, of all workloads and of the worst group."""

    gap: float
    ratio: float
    least: float


def prepared(problem: OperatingProblem, point: Point, kind: Kind, *, tokens: int = ENOUGH_TOKENS) -> PreparedPoint:
    """Make the workloads of a point and run benchmarks and `no-exit` on them. `tokens`: per place, that a throughput is
    measured over; 0 where only the gap counts."""
    config = problem.config(point)
    workloads, groups = _workloads(problem, point, config, tokens)
    upper = min(problem.benchmark_values(point).values())
    reference = compiled_policy(bind(REFERENCE, problem.profile, config))
    spans = tuple(simulate_compiled(reference, workload).makespan for workload in workloads)
    return PreparedPoint(kind, config, problem.objective, workloads, problem.replicates, upper,
                         problem.relative_to(point, upper), spans, groups)


def _workloads(problem: OperatingProblem, point: Point,
               config: ServerConfig, enough: int) -> tuple[tuple[CompiledWorkload, ...], tuple[int, ...]]:
    """The problem's replicates and as many more as the last group takes to be long enough; where groups begin."""
    found: list[CompiledWorkload] = []
    groups, tokens = [0], 0
    while len(found) < problem.replicates or groups[-1] < len(found):
        made = problem.source.workload(point, problem.profile, config.batch_max, problem.seed, len(found))
        found.append(compiled_workload(made))
        tokens += made.num_tokens
        if tokens >= enough * config.max_num_seqs:
            groups.append(len(found))
            tokens = 0
    return tuple(found), tuple(groups)


def worst_and_benign(samples: Sequence[Sample], regions: Sequence[Region], adversarial: int,
                     benign: int) -> tuple[list[Sample], list[Sample]]:
    """The worst samples, inside regions first, and others drawn from the declared distribution."""
    inside = [item for item in samples if any(region.holds(item.features) for region in regions)] or list(samples)
    worst = sorted(inside, key=lambda item: -item.relative_gap)[:adversarial]
    taken = {item.index for item in worst}
    return worst, [item for item in samples if item.origin == "random" and item.index not in taken][:benign]


def recorded_points(problem: OperatingProblem, count: int, seed: int) -> list[dict[str, float]]:
    """Windows of a recording at its own speed, spread evenly over it, N from the declared distribution; none where the
    workloads are generated, or the trace has no speed (all its requests arrive at once)."""
    source = problem.source
    if not isinstance(source, TraceSource):
        return []
    rng, found = np.random.default_rng([seed, 32_452_843]), []
    for number in range(count):
        point = problem.draw(rng) | {"window": (number + 0.5) / count}
        load = source.recorded_load(problem.profile, problem.config(point).batch_max)
        if load:
            found.append(point | {"load": load})
    return found
