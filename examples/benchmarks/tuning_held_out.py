"""Do tuned settings keep 0.98 of `no-exit`'s throughput on held-out traffic, and how much do they recover?

For each profile on generated workloads, and with --trace for each exit rate on windows of a trace: analysis (search,
regions, causes) and tuning as `xplain analyze` does them; then, on held-out points and workload seeds at equal N and
batch_max, the mean relative gap to the better of no-exit and flush-now before and after, the least throughput over
no-exit's anywhere, and the share of the tuning gap recovered: (now - tuned) / (now - best), best: the
better of the tuned setting and the one with the least mean gap that an independent search finds, with ten times as
many settings, over all parameters, on other workloads, under no floor.

    python examples/benchmarks/tuning_held_out.py --trace azure_llm_2023_conv.csv --exit-rates 0 0.15 0.5 0.9
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from drex_runtime.records import CostProfile, Workload, load_profile
from drex_runtime.records.files import write_atomic
from drex_runtime.traces.dataset import open_dataset, stated_exits
from xplain.causes import attribute_operating
from xplain.pipeline import sample_held_out
from xplain.problems.generator import default_space
from xplain.problems.trace_source import trace_space
from xplain.records import Tuning
from xplain.regions import find_regions
from xplain.request import AnalysisRequest, operating_problem
from xplain.search import Budget, portfolio
from xplain.tuning.scoring import ENOUGH_TOKENS, LONG_TOKENS
from xplain.tuning.tune import Plan, tune

PROFILES = Path(__file__).resolve().parent.parent / "profiles"
DEFAULT_PROFILES = tuple(PROFILES / f"{name}.json" for name in (
    "a100-llama2-13b-published", "h200-llama2-13b-estimate-start-0us", "h200-llama2-13b-estimate-start-60us",
    "h200-llama2-13b-estimate-start-500us"))
HEAD = ("| profile | traffic | held-out workloads | gap now | gap tuned | 95 % interval | recovered | least throughput "
        "now | least throughput tuned | settings |\n|---|---|---|---|---|---|---|---|---|---|")


@dataclass(frozen=True)
class Case:
    """A profile and its traffic."""

    profile: CostProfile
    traffic: str
    trace: Workload | None

    def tuned(self, subject: str, args: argparse.Namespace) -> Tuning:
        """Search, regions, causes, tuning."""
        rows = self.profile.max_rows
        request = AnalysisRequest(subject, trace_space(rows) if self.trace else default_space(rows),
                                  trace=self.traffic if self.trace else "", evaluations=args.evaluations,
                                  held_out=args.evaluations, seed=args.seed, jobs=args.jobs)
        problem = operating_problem(request, self.profile, self.trace)
        outcome = portfolio(problem, Budget(evaluations=args.evaluations), args.seed, jobs=args.jobs)
        held = sample_held_out(problem, request, lambda _: None)
        regions = find_regions(problem, outcome.samples, held, request.threshold, args.seed, subject=subject)
        by_index = {sample.index: sample for sample in outcome.samples}
        worst = [(region.name, by_index[region.worst]) for region in regions if region.worst in by_index]
        causes = [attribute_operating(problem, sample, name) for name, sample in worst or [("worst", outcome.worst)]]
        plan = Plan(trials=args.trials, seed=args.seed, jobs=args.jobs, held_out=args.points, independent=args.larger)
        return tune(problem, outcome.samples, regions, causes, plan)


def lines(case: Case, tuning: Tuning) -> list[str]:
    """A row per held-out slice."""
    missing = "not looked for" if tuning.recovery == "not looked for" else "no gap"
    settings = ", ".join(f"{item.name} = {item.proposed}" for item in tuning.settings) or "unchanged"
    found = []
    for item in tuning.comparisons:
        whole = item is tuning.comparisons[0]
        share = "" if not whole else missing if tuning.recovered is None else f"{tuning.recovered:.0%}"
        found.append(
            f"| {case.profile.name} | {case.traffic}: {item.slice} | {item.workloads} | {item.before:+.1%} | "
            f"{item.after:+.1%} | {item.after_low:+.1%} to {item.after_high:+.1%} | {share} | "
            f"{item.minimum_ratio_before:.3f} | {item.minimum_ratio_after:.3f} ({item.short_run_minimum:.3f}) | "
            f"{settings if whole else ''}{'' if tuning.accepted else ' (not recommended)'} |")
    return found


def cases(args: argparse.Namespace) -> list[Case]:
    """Generated traffic for each profile, then the trace at each exit rate for each --trace-profile."""
    found = [Case(load_profile(path), "generated", None) for path in args.profile]
    for path in args.trace_profile if args.trace else ():
        profile = load_profile(path)
        for rate in args.exit_rates:
            trace = open_dataset(args.trace, stated_exits(rate, "0"), num_segments=profile.num_segments,
                                 seed=args.seed, tick=profile.tick, first=None)
            found.append(Case(profile, f"{args.trace.name}, exit rate {rate}", trace))
    return found


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", default="drex")
    parser.add_argument("--profile", type=Path, nargs="*", default=DEFAULT_PROFILES)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--trace-profile", type=Path, nargs="*", default=DEFAULT_PROFILES[2:3])
    parser.add_argument("--exit-rates", nargs="*", default=["0.5"])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--larger", type=float, default=10.0, help="settings of the independent search, per setting")
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--points", type=int, default=100, help="held-out points per slice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows, notes = [], []
    print(HEAD)
    for case in cases(args):
        begun = time.monotonic()
        tuning = case.tuned(args.subject, args)
        made = lines(case, tuning)
        rows += made
        notes.append(f"- {case.profile.name}, {case.traffic}: {tuning.reason}. {tuning.recovery}. {tuning.below_floor} "
                     f"of {tuning.evaluations} settings below the floor in training "
                     f"({', '.join(f'{count} {kind}' for kind, count in tuning.training.items())} points). "
                     f"{time.monotonic() - begun:.0f} s")
        print(*made, notes[-1], sep="\n", flush=True)
    text = (f"# Tuned `{args.subject}` on held-out traffic\n\nSimulated, 2 shared cores; seed {args.seed}, "
            f"{args.trials} settings tried by tuning, {args.larger:g} times as many by each independent search. "
            "Throughput: over `no-exit`'s at equal N and batch_max, the least of all workloads; each over at "
            f"least {ENOUGH_TOKENS} tokens per place, suspects again over {LONG_TOKENS} (in brackets: before that).\n\n"
            + "\n".join([HEAD, *rows]) + "\n\n" + "\n".join(notes) + "\n")
    if args.out:
        write_atomic(args.out, text)
        print(args.out)


if __name__ == "__main__":
    main()
