"""How much of the tuning gap do the tuned settings recover on held-out workloads?

For each profile: the analysis finds regions and causes and tunes the parameters that the causes name (one setting
for all traffic). Independently, for the whole space and each region, a search over *all* parameters with ten times
as many trials, another sampler and seed, on workloads of that slice, gives the best single setting there. On
held-out points and workload seeds: tuning gap = mean relative gap now - with the slice's best setting; recovered =
(now - tuned) / (tuning gap). Gaps are relative to the better of no-exit and flush-now at equal N and batch_max.

    python examples/benchmarks/tuning_gap.py --out examples/benchmarks/results/tuning_gap.md
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from drex_runtime.records import CostProfile, load_profile
from drex_runtime.records.files import write_atomic
from drex_runtime.records.numbers import number_text
from xplain.causes import attribute_operating
from xplain.pipeline import sample_held_out
from xplain.problems.generator import default_space
from xplain.problems.operating import Contender, OperatingProblem
from xplain.records import Sample
from xplain.regions import find_regions
from xplain.request import AnalysisRequest, operating_problem
from xplain.search import Budget, portfolio
from xplain.tuning.held_out import fresh_seeds, slices
from xplain.tuning.optimise import best_setting
from xplain.tuning.ranges import search_ranges
from xplain.tuning.scoring import relative_gaps
from xplain.tuning.tune import Plan, tune

HERE = Path(__file__).resolve().parent
PROFILES = HERE.parent / "profiles"
DEFAULT_PROFILES = (
    HERE.parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json",
    PROFILES / "a100-llama2-13b-published.json", PROFILES / "h200-llama2-13b-estimate-start-0us.json",
    PROFILES / "h200-llama2-13b-estimate-start-60us.json", PROFILES / "h200-llama2-13b-estimate-start-500us.json")


@dataclass(frozen=True)
class Row:
    """One slice of one profile: mean relative gaps on held-out workloads."""

    profile: str
    slice: str
    points: int
    now: float
    tuned: float
    best: float

    @property
    def tuning_gap(self) -> float:
        """now - best."""
        return self.now - self.best

    def text(self) -> str:
        """A line of the table."""
        recovered = f"{(self.now - self.tuned) / self.tuning_gap:.0%}" if self.tuning_gap > 0.005 else "no gap"
        return (f"| {self.profile} | {self.slice} | {self.points} | {self.now:+.1%} | {self.tuned:+.1%} | "
                f"{self.best:+.1%} | {self.tuning_gap:.1%} | {recovered} |")


def measure(profile: CostProfile, subject: str, args: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Rows of one profile and notes on what was found."""
    request = AnalysisRequest(subject, default_space(profile.max_rows), evaluations=args.evaluations,
                              held_out=args.held_out_search, seed=args.seed, jobs=args.jobs)
    problem = operating_problem(request, profile)
    outcome = portfolio(problem, Budget(evaluations=args.evaluations), args.seed, jobs=args.jobs)
    held = sample_held_out(problem, request, lambda _: None)
    regions = find_regions(problem, outcome.samples, held, request.threshold, args.seed, subject=subject)
    by_index = {sample.index: sample for sample in outcome.samples}
    worst = [(region.name, by_index[region.worst]) for region in regions if region.worst in by_index]
    worst = worst or [("worst found", outcome.worst)]
    attributions = [attribute_operating(problem, sample, name) for name, sample in worst]
    plan = Plan(trials=args.trials, seed=args.seed, jobs=args.jobs, held_out=args.points)
    tuning = tune(problem, outcome.samples, regions, attributions, plan)
    proposed = {item.name: item.proposed for item in tuning.settings} if tuning.accepted else {}
    tuned = replace(problem.heuristic, name="tuned", settings={**problem.heuristic.settings, **proposed})
    notes = [f"{profile.name}: " + ("; ".join(region.sentence for region in regions) or "no region"),
             f"{profile.name}: tuned {', '.join(f'{k} = {v}' for k, v in proposed.items()) or 'not changed'} "
             f"(searched {', '.join(tuning.searched)}; {tuning.reason})"]
    rows = []
    fresh = fresh_seeds(problem)
    training = slices(problem, regions, args.points, args.seed + 1)
    for name, points in slices(fresh, regions, args.points, args.seed + 2).items():
        if not points:
            continue
        best = independent_best(problem, training[name], args)
        notes.append(f"{profile.name}, {name}: best single setting "
                     f"{', '.join(f'{k} = {v}' for k, v in best.settings.items()) or 'the current one'}")
        samples = [fresh.evaluate(point, index, "held-out") for index, point in enumerate(points)]
        means = [float(np.mean(relative_gaps(fresh, item, samples, args.jobs)))
                 for item in (problem.heuristic, tuned, best)]
        rows.append(Row(profile.name, name, len(points), *means))
    return rows, notes


def independent_best(problem: OperatingProblem, points: list[dict[str, float]], args: argparse.Namespace) -> Contender:
    """The best single setting of all parameters on these points: ten times the trials, another seed."""
    training: list[Sample] = [problem.evaluate(point, index, "random") for index, point in enumerate(points)]
    policy = problem.heuristic.policy
    largest = int(problem.space.dimension("num_seqs").high)
    bound = problem.bound(problem.heuristic, {"num_seqs": largest})
    ranges = search_ranges(policy, tuple(item.name for item in policy.parameters), bound, largest)
    best, _ = best_setting(problem, ranges, bound.values, training, trials=10 * args.trials, seconds=args.seconds,
                           seed=args.seed + 31, jobs=args.jobs, tail_weight=0.0)
    settings = {name: number_text(value) for name, value in best.items()}
    return replace(problem.heuristic, name="best", settings={**problem.heuristic.settings, **settings})


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", default="drex")
    parser.add_argument("--profile", type=Path, action="append", help="default: the measured one and the examples")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--held-out-search", type=int, default=400)
    parser.add_argument("--points", type=int, default=24, help="points per slice, training and held-out alike")
    parser.add_argument("--seconds", type=float, default=None, help="limit of each independent search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = ["| profile | slice | held-out points | gap now | gap tuned | gap best single setting | tuning gap | "
             "recovered |", "|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines))
    notes: list[str] = []
    for path in args.profile or DEFAULT_PROFILES:
        begun = time.monotonic()
        rows, said = measure(load_profile(path), args.subject, args)
        for row in rows:
            print(row.text(), flush=True)
        lines += [row.text() for row in rows]
        notes += [*said, f"{path.stem}: {time.monotonic() - begun:.0f} s"]
        print(*said, sep="\n", flush=True)
    text = (f"# Tuning gap of `{args.subject}`\n\nSimulated; seed {args.seed}, {args.trials} trials for tuning, "
            f"{10 * args.trials} for each independent search.\n\n" + "\n".join(lines) + "\n\n"
            + "\n".join(f"- {note}" for note in notes) + "\n")
    if args.out:
        write_atomic(args.out, text)
        print(args.out)


if __name__ == "__main__":
    main()
