"""Which search finds the larger gaps at equal evaluations: each method alone, mixtures, and the default portfolio?

Every portfolio spends half of its evaluations on the same random samples (regions need unbiased ones); they differ in
what the other half goes to. `old` is random search and annealing that keeps the exact scale's workloads at n x T, the
portfolio before the others existed. Per scale and portfolio: the largest relative gap found, by seed, and its mean; how
often it is at least that of `old`; what the methods themselves take per input, evaluations left out.

    python examples/benchmarks/search_methods.py --out examples/benchmarks/results/search_methods.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drex_runtime.records import CostProfile, load_profile
from drex_runtime.records.files import write_atomic
from xplain.encodings.exact import Limits
from xplain.problems.exact import ExactProblem
from xplain.problems.generator import default_space
from xplain.problems.interface import Problem
from xplain.records import Dimension, Origin, Point, Sample, Scale
from xplain.request import EXACT_NODES, AnalysisRequest, contender, operating_problem
from xplain.search import DEFAULT_SHARES, METHODS, Budget, Shares, portfolio

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json"
OLD = "old: annealing, fixed sizes"
SCALES: tuple[Scale, ...] = ("operating", "exact")


class Remembered:
    """A problem that evaluates no input twice: portfolios of one seed share their random samples."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[tuple[float, ...], Sample] = {}
        self.seconds = 0.0
        self.scale, self.threshold = problem.scale, problem.threshold

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """As the problem's."""
        return self._problem.dimensions

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """As the problem's."""
        return self._problem.draw(rng)

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """As the problem's."""
        return self._problem.neighbour(point, rng, width)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """As the problem's, once per input; `seconds` adds up what that took."""
        place = tuple(point.values())
        if place not in self._known:
            begun = time.monotonic()
            self._known[place] = self._problem.evaluate(point, index, origin)
            self.seconds += time.monotonic() - begun
        found = self._known[place]
        return Sample(index, found.scale, origin, found.point, found.features, found.heuristic, found.lower,
                      found.upper, found.benchmarks)

    def describe(self, feature: str) -> tuple[str, str]:
        """As the problem's."""
        return self._problem.describe(feature)


@dataclass(frozen=True)
class Row:
    """One portfolio at one scale: largest gaps by seed, milliseconds of thinking per sought input."""

    scale: str
    name: str
    gaps: tuple[float, ...]
    thinking: float

    def text(self, old: tuple[float, ...]) -> str:
        """A line of the table."""
        wins = sum(gap >= before for gap, before in zip(self.gaps, old, strict=True))
        each = " ".join(f"{gap:.3f}" for gap in self.gaps)
        return (f"| {self.scale} | {self.name} | {np.mean(self.gaps):.3f} | {np.median(self.gaps):.3f} | "
                f"{min(self.gaps):.3f} | {wins} of {len(old)} | {self.thinking:.1f} | {each} |")


def portfolios(scale: Scale) -> Mapping[str, Shares]:
    """What is compared; each leaves half of the evaluations to random samples."""
    alone: dict[str, Shares] = {f"{name} alone": {"random": 0.5, name: 0.5} for name in METHODS}
    return {OLD: {"random": 0.5, "annealing": 0.5}, **alone,
            "all four in equal shares": {"random": 0.5, **dict.fromkeys(METHODS, 0.125)},
            "default": DEFAULT_SHARES[scale]}


def problem_of(scale: Scale, profile: CostProfile, seed: int, resize: bool, args: argparse.Namespace) -> Problem:
    """The problem of an analysis with this seed."""
    if scale == "operating":
        request = AnalysisRequest(args.subject, default_space(profile.max_rows), evaluations=args.evaluations,
                                  seed=seed)
        return operating_problem(request, profile)
    return ExactProblem(contender(args.subject), profile, "total-completion", 0.05, requests=args.requests,
                        tokens=args.tokens, limits=Limits(nodes=EXACT_NODES), resize=resize)


def measure(scale: Scale, profile: CostProfile, args: argparse.Namespace) -> list[Row]:
    """All portfolios at one scale, seed by seed on the same problem."""
    compared = {name: shares for name, shares in portfolios(scale).items()
                if args.only is None or name in (OLD, *args.only)}
    gaps: dict[str, list[float]] = {name: [] for name in compared}
    thinking = dict.fromkeys(gaps, 0.0)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        problems = {resize: Remembered(problem_of(scale, profile, seed, resize, args)) for resize in (True, False)}
        for name, shares in compared.items():
            problem = problems[name != OLD]
            before = problem.seconds
            outcome = portfolio(problem, Budget(evaluations=args.evaluations), seed, shares=shares)
            gaps[name].append(outcome.worst.relative_gap)
            spent = sum(trace.seconds for trace in outcome.traces)
            thinking[name] += 1e3 * (spent - (problem.seconds - before)) / (args.evaluations / 2) / args.seeds
        print(f"{scale}, seed {seed}: " + ", ".join(f"{name} {found[-1]:.3f}" for name, found in gaps.items()),
              flush=True)
    return [Row(scale, name, tuple(found), thinking[name]) for name, found in gaps.items()]


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", default="drex")
    parser.add_argument("--profile", type=Path, default=DEMO)
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(portfolios("exact")), help="portfolios besides old")
    parser.add_argument("--requests", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--scale", choices=SCALES, action="append", help="default: both")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    profile = load_profile(args.profile)
    lines = ["| scale | second half of the budget | mean of the largest gaps | median | least | at least old's | "
             "thinking, ms per sought input | by seed |", "|---|---|---|---|---|---|---|---|"]
    for scale in args.scale or SCALES:
        rows = measure(scale, profile, args)
        old = next(row for row in rows if row.name == OLD)
        lines += [row.text(old.gaps) for row in rows]
    shares = "; ".join(f"{scale}: " + ", ".join(f"{name} {share:g}" for name, share in DEFAULT_SHARES[scale].items())
                       for scale in SCALES)
    last = args.first_seed + args.seeds - 1
    text = (f"# Search methods: `{args.subject}` on `{profile.name}`\n\n{args.evaluations} evaluations each, half of "
            f"them random; seeds {args.first_seed} to {last}; exact scale {args.requests} x {args.tokens} against the "
            "optimum, operating scale against the better of no-exit and flush-now. 0.5 means half as long again.\n\n"
            f"Default shares: {shares}.\n\n" + "\n".join(lines) + "\n")
    print(text)
    if args.out:
        write_atomic(args.out, text)
        print(args.out)


if __name__ == "__main__":
    main()
