"""Tuning against the default settings and against random search at equal budget, over seeds.

Per seed (of search, workloads and tuning alike): tuning tries so many settings on training workloads; random search
tries as many, drawn uniformly from the same ranges of all parameters, on the same training points with the same score
and the same floor, and takes the best. All three are then run on the same held-out points with workload seeds that
nobody has used. Score: half the mean, half the mean of the worst quarter of the relative gap to the better of no-exit
and flush-now. Intervals: 95 %, over seeds (t distribution), of the paired difference.

    python examples/benchmarks/tuning_random.py --out examples/benchmarks/results/tuning_random.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.records import CostProfile, load_profile
from drex_runtime.records.files import write_atomic
from xplain.causes import attribute_operating
from xplain.problems.generator import default_space
from xplain.problems.operating import OperatingProblem
from xplain.request import AnalysisRequest, operating_problem
from xplain.search import Budget, portfolio
from xplain.tuning.held_out import fresh_seeds, slices
from xplain.tuning.optimise import fewest_changes
from xplain.tuning.prepared import prepared
from xplain.tuning.ranges import search_ranges
from xplain.tuning.scoring import FLOOR, mixed
from xplain.tuning.trials import Trials
from xplain.tuning.tune import Plan, training_set, tune

PROFILES = Path(__file__).resolve().parent.parent / "profiles"
DEFAULT_PROFILES = (PROFILES / "a100-llama2-13b-published.json", PROFILES / "h200-llama2-13b-estimate-start-60us.json")
METHODS = ("default", "random", "tuning")
HEAD = ("| profile | settings tried | seeds | score default | score random | score tuning | random - tuning | ahead of "
        "random | default - tuning | ahead of default | least throughput of short runs: random, tuning |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|")


@dataclass(frozen=True)
class Result:
    """Held-out score and least throughput over `no-exit`'s of each method for one seed."""

    scores: dict[str, float]
    ratios: dict[str, float]


def one_seed(profile: CostProfile, seed: int, args: argparse.Namespace) -> Result:
    """Tune, search at random, check both."""
    request = AnalysisRequest("drex", default_space(profile.max_rows), evaluations=args.evaluations, seed=seed, jobs=1)
    problem = operating_problem(request, profile)
    outcome = portfolio(problem, Budget(evaluations=args.evaluations), seed, jobs=1)
    causes = [attribute_operating(problem, outcome.worst, "worst")]
    plan = Plan(trials=args.trials, seed=seed, jobs=args.jobs, held_out=2)
    tuning = tune(problem, outcome.samples, (), causes, plan)
    tuned = {item.name: parse_fraction(item.proposed, item.name) for item in tuning.settings}
    found = random_search(problem, Trials(problem, training_set(problem, outcome.samples, (), plan), jobs=args.jobs),
                          tuning.evaluations, seed)
    fresh = fresh_seeds(problem)
    points = slices(fresh, (), args.points, seed + 1)["whole space"]
    held = Trials(fresh, [prepared(fresh, point, "benign") for point in points], jobs=args.jobs, floor=0.0)
    values: dict[str, Mapping[str, Fraction]] = {"default": {}, "random": found, "tuning": tuned}
    return Result({name: mixed(*held.mean_and_tail(each)) for name, each in values.items()},
                  {name: held.minimum_ratio(each) for name, each in values.items()})


def random_search(problem: OperatingProblem, trials: Trials, count: int, seed: int) -> dict[str, Fraction]:
    """The best of the default and `count` - 1 settings drawn uniformly from all ranges, with as few changes."""
    rng = np.random.default_rng([seed, 86_028_121])
    policy, largest = problem.heuristic.policy, int(problem.space.dimension("num_seqs").high)
    bound = problem.bound(problem.heuristic, {"num_seqs": largest})
    ranges = search_ranges(policy, tuple(item.name for item in policy.parameters), bound, largest)
    trials.score({})
    while len(trials) < count:
        drawn = {item.name: item.drawn(rng) for item in ranges}
        trials.score({name: value for name, value in drawn.items() if value != bound.values[name]})
    return fewest_changes(trials, trials.best())


def row(name: str, results: list[Result], args: argparse.Namespace) -> str:
    """Means, intervals, in how many seeds tuning is ahead."""
    scores = {method: np.array([item.scores[method] for item in results]) for method in METHODS}

    def difference(method: str) -> str:
        each = scores[method] - scores["tuning"]
        half = float(student_t.ppf(0.975, len(each) - 1)) * float(each.std(ddof=1)) / sqrt(len(each))
        return f"{each.mean():+.2%} [{each.mean() - half:+.2%}, {each.mean() + half:+.2%}]"

    def ahead(method: str) -> str:
        return f"{int((scores['tuning'] < scores[method]).sum())} of {len(results)}"

    means = " | ".join(f"{scores[method].mean():+.2%}" for method in METHODS)
    least = ", ".join(f"{min(item.ratios[method] for item in results):.3f}" for method in ("random", "tuning"))
    return (f"| {name} | {args.trials} | {len(results)} | {means} | {difference('random')} | {ahead('random')} | "
            f"{difference('default')} | {ahead('default')} | {least} |")


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, nargs="*", default=DEFAULT_PROFILES)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: 2 or more, for an interval")
    print(HEAD)
    rows, notes = [], []
    for path in args.profile:
        profile, begun = load_profile(path), time.monotonic()
        results = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            results.append(one_seed(profile, seed, args))
            text = ", ".join(f"{name} {value:+.2%}" for name, value in results[-1].scores.items())
            notes.append(f"- {profile.name}, seed {seed}: {text}")
            print(notes[-1], flush=True)
        rows.append(row(profile.name, results, args))
        notes.append(f"- {profile.name}: {time.monotonic() - begun:.0f} s")
        print(rows[-1], flush=True)
    text = ("# Tuning of `drex` against default and random search\n\nSimulated, 2 shared cores; generated workloads, "
            f"{args.points} held-out points of 2 workloads per seed. Floor: {FLOOR:g} of no-exit's throughput, for "
            "both searches. Lower scores are better; a difference above zero says that tuning is ahead.\n\n"
            + "\n".join([HEAD, *rows]) + "\n\n" + "\n".join(notes) + "\n")
    if args.out:
        write_atomic(args.out, text)
        print(args.out)


if __name__ == "__main__":
    main()
