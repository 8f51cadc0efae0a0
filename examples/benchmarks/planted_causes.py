"""Does the analysis blame the right rule? Generated policies with one known defect each, and healthy ones.

An environment is drawn (profile, server, kind of traffic), and a healthy policy for it: of many candidates (shipped
tables at random settings, generated tables in other orders and with other conditions) one within 1 % of the best.
Then one defect of a family is planted in its table or parameters, and kept only if simulation says, on workloads that
the analysis does not see, that it costs at least 8 % and that no change elsewhere wins back four fifths of that. The
analysis gets the policy and workloads, never the label: `xplain.explain.diagnose` says "loss" and whom to blame (kind,
rule and atom), "none", or "unknown". Healthy = tuning gap at most 2 % against an independent search over candidates of
all styles.

    PYTHONPATH=. python examples/benchmarks/planted_causes.py --out examples/benchmarks/results/planted_causes.md
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from joblib import Parallel, delayed

from drex_runtime.records.files import write_atomic
from tests.planted.defects import LEAST_LOSS, Case, cases
from xplain.explain.diagnose import diagnose
from xplain.explain.record import Diagnosis
from xplain.regions.score import wilson
from xplain.report.units import percent

WORKLOADS, HELD_OUT = 100, 400  # what the analysis gets
THRESHOLD = 0.04


def analysed(case: Case, jobs: int = 1) -> Diagnosis:
    """What the analysis says; it does not get the label."""
    workloads = [case.env.workload(seed) for seed in range(WORKLOADS)]
    held_out = [case.env.workload(seed) for seed in range(WORKLOADS, WORKLOADS + HELD_OUT)]
    return diagnose(case.candidate.bound(case.env), workloads, held_out, case.env.objective, threshold=THRESHOLD,
                    jobs=jobs)


def line(case: Case, found: Diagnosis) -> str:
    """A row of the table."""
    first = found.blames[0] if found.blames else None
    blamed = f"{first.kind} {first.rule}" + (f" ({first.atom})" if first.atom else "") if first else ""
    gain = percent(first.remedy.gain) if first and first.remedy else ""
    return (f"| {case.family or 'healthy'} | {case.candidate.policy.name} | {case.env.profile.num_segments - 1} | "
            f"{case.env.objective} | {percent(case.loss) if case.family else ''} | {percent(found.gap)} | "
            f"{found.verdict} | {blamed} | {gain} | {'yes' if case.right(found) else '**no**'} |")


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--defective", type=int, default=60)
    parser.add_argument("--healthy", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    begun = time.process_time()
    drawn, dropped = cases(args.seed, args.defective, args.healthy)
    print(f"{len(drawn)} cases drawn in {time.process_time() - begun:.0f} s CPU", flush=True)
    found, rows = [], []
    for case, diagnosis in zip(drawn, Parallel(n_jobs=args.jobs, return_as="generator")(
            delayed(analysed)(case) for case in drawn), strict=True):
        found.append(diagnosis)
        rows.append(line(case, diagnosis))
        print(rows[-1], flush=True)
    defective = [case.right(item) for case, item in zip(drawn, found, strict=True) if case.family]
    sound = [case.right(item) for case, item in zip(drawn, found, strict=True) if not case.family]
    families = Counter(case.family for case in drawn if case.family)
    summary = []
    for name, results in (("blamed cause right (kind, rule, atom; top 1)", defective), ("healthy: no problem", sound)):
        rate = wilson(sum(results), len(results))
        summary.append(f"| {name} | {sum(results)} of {len(results)} | {percent(rate.value)} ({percent(rate.low)} to "
                       f"{percent(rate.high)}) |")
    text = "\n".join((
        "# Planted causes", "", f"Seed {args.seed}; {WORKLOADS} workloads attributed and {HELD_OUT} held out per "
        f"policy; threshold {percent(THRESHOLD)}; a defect costs at least {percent(LEAST_LOSS)}.", "",
        "| what | right | share (95 %) |", "|---|---|---|", *summary, "",
        f"Families: {', '.join(f'{name} {count}' for name, count in sorted(families.items()))}.",
        f"Planted and dropped: {', '.join(f'{why} {count}' for why, count in sorted(dropped.items()) if why)}.", "",
        "| defect | policy | K | objective | loss | gap to optimum | verdict | blamed first | remedy wins back | "
        "right |", "|---|---|---|---|---|---|---|---|---|---|", *rows, ""))
    print(text)
    if args.out:
        write_atomic(args.out, text)


if __name__ == "__main__":
    main()
