"""How fast explanations of many samples are: one table, every sample a function of the seed.

    python examples/benchmarks/explanation_speed.py [--samples 3000] [--jobs 2] [--seed 0] [--only WORD] [--out FILE]

Each line explains --samples inputs of the declared distribution, points already drawn: heat maps of first fit (4 balls
in the paper's box), demand pinning (the paper's five nodes) and EE scheduling (4 x 4, `drex` on the shipped profile),
and EE scheduling's regret attribution with everything kept. Kernels are compiled and cached before (once per
installation). Wall clock includes starting the processes; every line starts its own, as a first call would (heat maps
start none where that costs more than it saves). CPU time is that of all processes together, starting them included:
what the line costs where other programs keep the cores busy; on idle ones the wall clock is about CPU / processes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor

import drex_runtime
from drex_runtime.policies.load import load_policy
from drex_runtime.records import load_profile
from drex_runtime.scheduling.state import Objective
from xplain.explain.many import attribute_many
from xplain.heat_map.scheduling import SchedulingFlows
from xplain.heat_map.score import heat_map
from xplain.problems.exact import ExactProblem
from xplain.problems.flows import FlowProblem
from xplain.problems.operating import Contender
from xplain.records import Point
from xplain.studies.demand_pinning import DemandPinning
from xplain.studies.first_fit import FirstFit

PROFILE = Path(drex_runtime.__file__).parent / "data" / "profiles" / "demo-cpu.json"


@dataclass(frozen=True)
class Case:
    """One line: `explain(points, jobs)` returns what to say about the result; `target` in seconds (0: none)."""

    name: str
    draw: Callable[[np.random.Generator], Point]
    explain: Callable[[Sequence[Point], int], str]
    target: float


def scheduling(objective: Objective, requests: int, tokens: int) -> ExactProblem:
    """`drex` on the shipped profile."""
    return ExactProblem(Contender("drex", load_policy("drex"), {}), load_profile(PROFILE), objective, 0.05,
                        requests=requests, tokens=tokens)


def of_flows(problem: FlowProblem) -> Callable[[Sequence[Point], int], str]:
    """A heat map of `problem`."""
    def explain(points: Sequence[Point], jobs: int) -> str:
        heat = heat_map(problem, points, jobs=jobs)
        strongest = max(heat.edges, key=lambda edge: abs(edge.score.value))
        return (f"{strongest.tail} → {strongest.head}: {strongest.score.value:+.2f}; "
                f"{heat.infeasible} of {heat.samples} without flows")
    return explain


def of_regret(problem: ExactProblem) -> Callable[[Sequence[Point], int], str]:
    """Regret attribution of every sample."""
    def explain(points: Sequence[Point], jobs: int) -> str:
        found = attribute_many(problem.bound, [problem.workload(point) for point in points], problem.objective,
                               jobs=jobs)
        return f"{sum(len(item.attribution.causes) for item in found) / len(found):.1f} causes a sample"
    return explain


def cases() -> list[Case]:
    """The lines of the table."""
    balls, pinning = FirstFit(), DemandPinning()
    found = [Case("first fit, 4 balls: heat map", balls.draw, of_flows(balls), 10),
             Case("demand pinning, five nodes: heat map", pinning.draw, of_flows(pinning), 60)]
    for objective, requests, tokens, target in (("total-completion", 4, 4, 10), ("makespan", 4, 4, 10),
                                                ("total-completion", 5, 4, 0)):
        problem = scheduling(objective, requests, tokens)  # type: ignore[arg-type]
        name = f"EE scheduling {requests} x {tokens}, {objective}"
        found += [Case(f"{name}: heat map", problem.draw, of_flows(SchedulingFlows(problem)), target),
                  Case(f"{name}: regret", problem.draw, of_regret(problem), target)]
    return found


def cpu_of_all() -> float:
    """Seconds of this process and of those it has waited for."""
    return sum(os.times()[:4])


def measure(case: Case, samples: int, jobs: int, seed: int) -> tuple[float, float, str]:
    """(wall, CPU) seconds and what was found."""
    rng = np.random.default_rng(seed)
    points = [case.draw(rng) for _ in range(samples)]
    case.explain(points[:2], 1)
    wall, cpu = time.perf_counter(), cpu_of_all()
    found = case.explain(points, jobs)
    wall = time.perf_counter() - wall
    # The CPU time of the processes counts once they have ended; and the next line starts its own.
    get_reusable_executor().shutdown(wait=True)
    return wall, cpu_of_all() - cpu, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="lines whose name contains this")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [f"| {options.samples:,} samples, {options.jobs} processes | wall, s | CPU, s | samples/s | asked for, s | "
             "result |", "|---|---|---|---|---|---|"]
    print("\n".join(lines))
    for case in cases():
        if options.only in case.name:
            wall, cpu, found = measure(case, options.samples, options.jobs, options.seed)
            lines.append(f"| {case.name} | {wall:.1f} | {cpu:.1f} | {options.samples / wall:,.0f} | "
                         f"{f'{case.target:.0f}' if case.target else '–'} | {found} |")
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
