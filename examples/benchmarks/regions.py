"""Regions of known shapes: ours, the paper's method, PRIM and CART at equal samples; first fit in the paper's box.

    python examples/benchmarks/regions.py --seeds 10 --out examples/benchmarks/results/regions.md

Needs ema_workbench (extra `benchmarks`). Run from the repository: the planted functions are those of the tests.

Planted functions are in 6 dimensions, 4 of which do not matter; noise of 2 % on the gap, threshold 5 %, 14 % inside.
F1 = harmonic mean of precision and coverage of the union of all boxes on fresh samples. Predicates are bounds, summed
over boxes. Rivals get every benefit of the doubt: several settings each, of which the one with the best mean F1 over
all seeds *on the fresh samples* is shown.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.xplain.synthetic import FirstFitProblem, SyntheticProblem, cube, planted
from xplain.records import Predicate, Rate, Sample
from xplain.regions import Options, find_regions_with_evidence, judge_regions, with_linear
from xplain.regions.box import Box
from xplain.regions.linear import linear_features
from xplain.regions.record import Method
from xplain.regions.table import Mask, Table, tabulate, usable
from xplain.search import Budget, random_search

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of optional parts of ema_workbench that are not installed
    from ema_workbench.analysis import cart, prim

SHAPES = ("two boxes", "half-space", "L", "tilted")
THRESHOLD = 0.05
FRESH = 4000
OURS = Options(linear=2)
METHODS: tuple[tuple[str, Method], ...] = (("ours", "refine"), ("paper's", "slices"))
SLICES = Options(linear=2, method="slices")


@dataclass(frozen=True)
class Outcome:
    """One method on one function."""

    precision: float
    coverage: float
    predicates: int
    regions: int
    seconds: float
    evaluations: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and coverage."""
        total = self.precision + self.coverage
        return 2 * self.precision * self.coverage / total if total else 0.0


def outcome(boxes: Sequence[Box], fresh: Table, seconds: float, evaluations: int = 0) -> Outcome:
    """The union of `boxes` scored on fresh samples."""
    held: Mask = np.zeros(len(fresh), dtype=bool)
    for box in boxes:
        held |= box.inside(fresh.values)
    both = int((held & fresh.bad).sum())
    return Outcome(both / max(1, int(held.sum())), both / max(1, int(fresh.bad.sum())),
                   sum(box.size for box in boxes), len(boxes), seconds, evaluations)


def frame(table: Table) -> pd.DataFrame:
    """The table's features as PRIM and CART take them."""
    return pd.DataFrame(table.values, columns=[f"c{k}" for k in range(len(table.names))])


def as_box(limits: pd.DataFrame, first: pd.DataFrame) -> Box:
    """Limits as a box without the bounds that are the data's own; lower limits of theirs are inclusive."""
    lows, highs = limits.iloc[0].to_numpy(float), limits.iloc[1].to_numpy(float)
    least, most = first.iloc[0].to_numpy(float), first.iloc[1].to_numpy(float)
    return Box(tuple(np.where(lows > least, np.nextafter(lows, -np.inf), -np.inf).tolist()),
               tuple(np.where(highs < most, highs, np.inf).tolist()))


def by_prim(table: Table, threshold: float, mass: float) -> list[Box]:
    """Boxes one after the other; of each peeling trajectory the box with the largest F1 on what is left."""
    values, boxes = frame(table), list[Box]()
    left: Mask = np.ones(len(table), dtype=bool)
    while len(boxes) < 6 and table.bad[left].sum() >= 10:
        rest = values[left].reset_index(drop=True)
        found = prim.Prim(rest, table.bad[left], threshold=0.05, mass_min=mass)  # or its last box is thrown away
        trajectory = found.find_box().peeling_trajectory
        density, coverage = trajectory["density"].to_numpy(), trajectory["coverage"].to_numpy()
        good = np.where(density >= threshold, 2 * density * coverage / np.maximum(density + coverage, 1e-9), -1)
        at = int(np.argmax(good))
        if good[at] <= 0:
            break
        chosen = as_box(found._boxes[0].box_lims[at], found.box_init)
        boxes.append(chosen)
        held = chosen.inside(table.values) & left
        if not held.any():
            break
        left &= ~held
    return boxes


def by_cart(table: Table, threshold: float, mass: float) -> list[Box]:
    """The leaves that are bad with at least the threshold."""
    found = cart.CART(frame(table), table.bad.astype(int), mass_min=mass)
    found.build_tree()
    first = found.boxes[0].copy()
    first.iloc[0], first.iloc[1] = frame(table).min(), frame(table).max()
    return [as_box(box, first) for box, stats in zip(found.boxes, found.stats, strict=True)
            if stats["density"] >= threshold]


Rival = Callable[[Table, float, float], list[Box]]
SETTINGS = {  # (least density of a box, least mass), of which the best is shown
    "PRIM": [(threshold, mass) for threshold in (0.2, 0.5, 0.8) for mass in (0.02, 0.05)],
    "CART": [(threshold, mass) for threshold in (0.2, 0.5, 0.8) for mass in (0.01, 0.02, 0.05)],
    "PRIM with sums": [(0.5, 0.05)], "CART with sums": [(0.5, 0.01), (0.5, 0.02), (0.5, 0.05)]}


def sampled(shape: str, seed: int, count: int) -> tuple[SyntheticProblem, tuple[Sample, ...], tuple[Sample, ...]]:
    """The problem, search samples and fresh ones."""
    problem = SyntheticProblem(planted(shape, seed), cube(), noise=0.02, threshold=THRESHOLD)
    samples, _ = random_search(problem, seed, Budget(evaluations=count))
    fresh, _ = random_search(problem, seed, Budget(evaluations=FRESH), origin="held-out", first_index=count)
    return problem, samples, fresh


def compared(shape: str, seed: int, count: int, only: str = "") -> dict[str, Outcome]:
    """Every method on one function, or one of ours alone."""
    problem, samples, fresh = sampled(shape, seed, count)
    names = usable(samples, fresh)[0]
    train = tabulate(samples, THRESHOLD, names)
    linear = linear_features(problem, train, 2)
    wide = (*names, *(each.name for each in linear))
    tables = {"": (train, tabulate(fresh, THRESHOLD, names)),
              " with sums": (tabulate(with_linear(samples, linear), THRESHOLD, wide),
                             tabulate(with_linear(fresh, linear), THRESHOLD, wide))}
    found = dict[str, Outcome]()
    for name, options in (("ours", OURS), ("paper's", SLICES)):
        if only and name != only:
            continue
        start = time.perf_counter()
        search = find_regions_with_evidence(problem, samples, fresh, THRESHOLD, seed, options=options, curves=False)
        boxes = [Box.of(region.predicates, wide) for region in search.regions]
        found[name] = outcome(boxes, tables[" with sums"][1], time.perf_counter() - start, search.evaluations)
    rivals: dict[str, Rival] = {} if only else {"PRIM": by_prim, "CART": by_cart}
    for rival, run in rivals.items():
        for kind, (given, judged) in tables.items():
            for threshold, mass in SETTINGS[rival + kind]:
                start = time.perf_counter()
                boxes = run(given, threshold, mass)
                found[f"{rival}{kind}|{threshold:g}, {mass:g}"] = outcome(boxes, judged, time.perf_counter() - start)
    return found


def best_settings(runs: Sequence[dict[str, Outcome]]) -> dict[str, list[Outcome]]:
    """Per method the outcomes over the seeds, of rivals with the setting whose mean F1 is best."""
    found = dict[str, list[Outcome]]()
    for key in runs[0]:
        outcomes, name = [run[key] for run in runs], key.split("|")[0]
        if name not in found or np.mean([o.f1 for o in outcomes]) > np.mean([o.f1 for o in found[name]]):
            found[name] = outcomes
    return found


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


def synthetic_table(count: int, seeds: int, only: str) -> list[str]:
    """All shapes and methods."""
    lines = ["| bad region | method | F1 | precision | coverage | predicates | boxes | s | further inputs "
             "| ours >= in F1 | ours <= in predicates |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for shape in SHAPES:
        methods = best_settings([compared(shape, seed, count, only) for seed in range(seeds)])
        for name, outcomes in methods.items():
            lines.append(row(shape, name, outcomes, methods.get("ours", outcomes)))
            print(lines[-1], flush=True)
    return lines


def first_fit_table(count: int, seeds: int, only: str) -> list[str]:
    """Union of our regions, of the paper's method's, and the published region, on the same fresh samples."""
    published = [Predicate("sum", ">", 1.5), Predicate("B1", "<=", 0.5)]
    lines = ["| seed | regions | precision of the union (95 % interval) | coverage of the union (95 % interval) "
             "| predicates | further inputs |", "|---|---|---|---|---|---|"]
    problem = FirstFitProblem(with_sum=True)
    for seed in range(seeds):
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
    parser.add_argument("--only", choices=("", "ours", "paper's"), default="", help="one of our methods, no rivals")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    options = parser.parse_args()
    planted_lines = synthetic_table(options.samples, options.seeds, options.only)
    lines = [
        "# Regions: ours, the paper's method, PRIM and CART", "",
        f"`python examples/benchmarks/regions.py --samples {options.samples} --balls {options.balls} --seeds "
        f"{options.seeds}`: {options.samples} search samples for all, {FRESH} fresh ones for the scores, means over "
        f"{options.seeds} functions per shape. Seconds on a shared machine.", "",
        *planted_lines, "", "## First fit, four balls, the paper's box", "",
        f"{options.balls} search samples, {FRESH} fresh ones; features are the sizes, sums are formed by the search.",
        "", *first_fit_table(options.balls, options.seeds, options.only),
    ]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
