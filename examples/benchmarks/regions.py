"""Regions of known shapes: ours, the paper's method, PRIM and CART at equal samples; first fit in the paper's box.

    python examples/benchmarks/regions.py --seeds 10 --out examples/benchmarks/results/regions.md

Needs ema_workbench (extra `benchmarks`). Run from the repository: the planted functions are those of the tests.

Planted functions are in 6 dimensions, 4 of which do not matter; noise of 2 % on the gap, threshold 5 %, 10 to 45 %
inside. F1 = harmonic mean of precision and coverage of the union of all boxes on fresh samples. Predicates are bounds,
summed over boxes. Rivals get every benefit of the doubt: several settings each, of which the one with the best mean F1
over all seeds *on the fresh samples* is shown, and all of which our trade-off curve is held against. The curve
(`RegionSearch.sizes`) comes from the search samples alone; its point beside a rival's result is the longest one that is
not longer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from region_outcome import Against, Outcome, against, outcome
from region_rivals import RIVALS, SETTINGS

from tests.xplain.synthetic import FirstFitProblem, SyntheticProblem, cube, planted
from xplain.records import Predicate, Rate, Sample
from xplain.regions import Options, find_regions_with_evidence, judge_regions, with_linear
from xplain.regions.box import Box
from xplain.regions.linear import linear_features
from xplain.regions.record import Method
from xplain.regions.table import tabulate, usable
from xplain.search import Budget, random_search

SHAPES = ("two boxes", "half-space", "L", "tilted")
THRESHOLD = 0.05
FRESH = 4000
OPTIONS: dict[str, Options] = {"ours": Options(linear=2), "paper's": Options(linear=2, method="slices")}
METHODS: tuple[tuple[str, Method], ...] = (("ours", "refine"), ("paper's", "slices"))


@dataclass(frozen=True)
class Compared:
    """Every method on one function (rivals as "name|setting"), and our curve there."""

    seed: int
    outcomes: dict[str, Outcome]
    curve: tuple[Outcome, ...]


def sampled(shape: str, seed: int, count: int) -> tuple[SyntheticProblem, tuple[Sample, ...], tuple[Sample, ...]]:
    """The problem, search samples and fresh ones."""
    problem = SyntheticProblem(planted(shape, seed), cube(), noise=0.02, threshold=THRESHOLD)
    samples, _ = random_search(problem, seed, Budget(evaluations=count))
    fresh, _ = random_search(problem, seed, Budget(evaluations=FRESH), origin="held-out", first_index=count)
    return problem, samples, fresh


def compared(shape: str, seed: int, count: int, only: str = "") -> Compared:
    """Every method on one function, or one of ours alone."""
    problem, samples, fresh = sampled(shape, seed, count)
    names = usable(samples, fresh)[0]
    train = tabulate(samples, THRESHOLD, names)
    linear = linear_features(problem, train, 2)
    wide = (*names, *(each.name for each in linear))
    tables = {"": (train, tabulate(fresh, THRESHOLD, names)),
              " with sums": (tabulate(with_linear(samples, linear), THRESHOLD, wide),
                             tabulate(with_linear(fresh, linear), THRESHOLD, wide))}
    found, curve, judged = dict[str, Outcome](), list[Outcome](), tables[" with sums"][1]
    for name, options in OPTIONS.items():
        if only and name != only:
            continue
        start = time.perf_counter()
        search = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, seed, options=options,
                                            curves=name == "ours")
        boxes = [Box.of(region.predicates, wide) for region in search.regions]
        found[name] = outcome(boxes, judged, time.perf_counter() - start, search.evaluations)
        if name == "ours":
            curve = [outcome([Box.of(each, wide) for each in point.regions], judged, 0.0) for point in search.sizes]
    for rival, run in () if only else RIVALS.items():
        for kind, (given, scored) in tables.items():
            for threshold, mass in SETTINGS[rival + kind]:
                start = time.perf_counter()
                boxes = run(given, threshold, mass)
                found[f"{rival}{kind}|{threshold:g}, {mass:g}"] = outcome(boxes, scored, time.perf_counter() - start)
    return Compared(seed, found, tuple(curve))


def best_settings(runs: Sequence[Compared]) -> dict[str, str]:
    """By method the key of its outcomes, of rivals with the setting whose mean F1 is best."""
    found = dict[str, str]()
    for key in runs[0].outcomes:
        name = key.split("|")[0]
        if name not in found or mean_f1(runs, key) > mean_f1(runs, found[name]):
            found[name] = key
    return found


def mean_f1(runs: Sequence[Compared], key: str) -> float:
    """Over the functions."""
    return float(np.mean([run.outcomes[key].f1 for run in runs]))


def row(shape: str, name: str, outcomes: Sequence[Outcome], ours: Sequence[Outcome]) -> str:
    """A row of the table; the last columns compare seed by seed with ours."""
    def mean(of: Callable[[Outcome], float]) -> float:
        return float(np.mean([of(each) for each in outcomes]))

    def won(of: Callable[[Outcome, Outcome], bool]) -> str:
        return f"{sum(of(mine, theirs) for mine, theirs in zip(ours, outcomes, strict=True))} of {len(ours)}"

    versus = ["-", "-"] if name == "ours" else [
        won(lambda mine, theirs: mine.f1 >= theirs.f1), won(lambda mine, theirs: mine.predicates <= theirs.predicates)]
    extra = mean(lambda o: o.evaluations)
    cells = [shape, name, f"{mean(lambda o: o.f1):.3f}", f"{mean(lambda o: o.precision):.3f}",
             f"{mean(lambda o: o.coverage):.3f}", f"{mean(lambda o: o.predicates):.1f}",
             f"{mean(lambda o: o.regions):.1f}", f"{mean(lambda o: o.seconds):.2f}", f"{extra:,.0f}", *versus]
    return "| " + " | ".join(cells) + " |"


def against_row(shape: str, name: str, found: Sequence[Against]) -> str:
    """Our curve at the rival's number of predicates, function by function."""
    def mean(of: Callable[[Against], float]) -> str:
        return f"{np.mean([of(each) for each in found]):.3f}"

    worst = min(found, key=lambda each: each.difference)
    interval = f"{worst.difference:+.4f} ({worst.low:+.4f} to {worst.high:+.4f})"
    cells = [shape, name, mean(lambda a: a.rival.f1), f"{np.mean([a.rival.predicates for a in found]):.1f}",
             mean(lambda a: a.point.f1), f"{np.mean([a.point.predicates for a in found]):.1f}",
             f"{sum(a.dominates for a in found)} of {len(found)}", f"{sum(a.behind for a in found)} of {len(found)}",
             interval]
    return "| " + " | ".join(cells) + " |"


def synthetic_tables(count: int, seeds: Sequence[int], only: str) -> tuple[list[str], list[str]]:
    """All shapes and methods: the reported regions, and our curve beside every rival."""
    lines = ["| bad region | method | F1 | precision | coverage | predicates | boxes | s | further inputs "
             "| ours >= in F1 | ours <= in predicates |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    beside = ["| bad region | rival | its F1 | its predicates | F1 of our curve there | its predicates "
              "| F1 >= with predicates <= | behind beyond chance | smallest difference (95 % interval) |",
              "|---|---|---|---|---|---|---|---|---|"]
    for shape in SHAPES:
        runs = [compared(shape, seed, count, only) for seed in seeds]
        best = best_settings(runs)
        for name, key in best.items():
            outcomes = [run.outcomes[key] for run in runs]
            lines.append(row(shape, name, outcomes, [run.outcomes[best.get("ours", key)] for run in runs]))
            print(lines[-1], flush=True)
        for name, key in best.items():
            if name != "ours" and not only:
                beside.append(against_row(shape, name, [against(run.curve, run.outcomes[key], run.seed)
                                                        for run in runs]))
                print(beside[-1], flush=True)
        settings = [key for key in runs[0].outcomes if "|" in key]
        if settings:
            every = [against(run.curve, run.outcomes[key], run.seed) for key in settings for run in runs]
            beside.append(against_row(shape, f"all {len(settings)} settings of PRIM and CART", every))
            print(beside[-1], flush=True)
        sizes = sorted({point.predicates for run in runs for point in run.curve})
        text = (f"{size}: {np.mean(f1s):.3f} ({len(f1s)})" for size in sizes
                if (f1s := [point.f1 for run in runs for point in run.curve if point.predicates == size]))
        print(f"{shape}: F1 of our curve by predicates (functions): {', '.join(text)}", flush=True)
    return lines, beside


def first_fit_table(count: int, seeds: Sequence[int], only: str) -> list[str]:
    """Union of our regions, of the paper's method's, and the published region, on the same fresh samples."""
    published = [Predicate("sum", ">", 1.5), Predicate("B1", "<=", 0.5)]
    lines = ["| seed | regions | precision of the union (95 % interval) | coverage of the union (95 % interval) "
             "| predicates | further inputs |", "|---|---|---|---|---|---|"]
    problem = FirstFitProblem(with_sum=True)
    for seed in seeds:
        samples, _ = random_search(problem, seed, Budget(evaluations=count))
        fresh, _ = random_search(problem, seed, Budget(evaluations=FRESH), origin="held-out", first_index=count)
        for name, method in METHODS:
            if only and name != only:
                continue
            options = Options(linear=3, targets=(0.9, 0.8, 0.6, 0.4), slack=0.01, method=method)
            search = find_regions_with_evidence(problem, samples, fresh, 1.0, seed, options=options, curves=False)
            if search.unions:
                union, size = search.unions[-1], sum(len(region.predicates) for region in search.regions)
                lines.append(f"| {seed} | {name}: {union.regions} | {rate(union.precision)} | {rate(union.coverage)} "
                             f"| {size} | {search.evaluations:,} |")
            else:
                lines.append(f"| {seed} | {name}: none | - | 0 | 0 | {search.evaluations:,} |")
        (region,) = judge_regions(problem, [published], fresh, 1.0, seed)
        lines.append(f"| {seed} | published: 1 | {rate(region.precision)} | {rate(region.coverage)} | 2 | 0 |")
    return lines


def rate(value: Rate) -> str:
    """A share with its interval."""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000, help="search samples per planted function")
    parser.add_argument("--balls", type=int, default=2000, help="search samples for first fit")
    parser.add_argument("--seeds", type=int, default=10, help="functions per shape, and runs of first fit")
    parser.add_argument("--first-seed", type=int, default=0, help="of these seeds")
    parser.add_argument("--no-first-fit", action="store_true", help="planted functions only")
    parser.add_argument("--only", choices=("", "ours", "paper's"), default="", help="one of our methods, no rivals")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    reported, beside = synthetic_tables(options.samples, seeds, options.only)
    lines = [
        "# Regions: ours, the paper's method, PRIM and CART", "",
        f"`python examples/benchmarks/regions.py --samples {options.samples} --balls {options.balls} --seeds "
        f"{options.seeds} --first-seed {options.first_seed}`: {options.samples} search samples for all, {FRESH} fresh "
        f"ones for the scores, means over {options.seeds} functions per shape. Seconds on a shared machine (of ours "
        "with the trade-off curve).", "", "## Regions as reported", "", *reported, "",
        "## Our curve at the rival's number of predicates", "", *beside, ""]
    if not options.no_first_fit:
        lines += ["## First fit, four balls, the paper's box", "", f"{options.balls} search samples, {FRESH} fresh "
                  "ones; features are the sizes, sums are formed by the search.", "",
                  *first_fit_table(options.balls, seeds, options.only)]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
