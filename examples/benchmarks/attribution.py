"""How fast are small workloads explained: regret attribution of `drex` against the proved optimum, 4 x 4, per profile.

    python examples/benchmarks/attribution.py --out examples/benchmarks/results/attribution.md
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from drex_runtime.policies import shipped_policy
from drex_runtime.records import load_profile
from drex_runtime.records.files import write_atomic
from xplain.explain.many import attribute_many
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender

HERE = Path(__file__).resolve().parent
PROFILES = (HERE.parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json",
            HERE.parent / "profiles" / "a100-llama2-13b-published.json",
            HERE.parent / "profiles" / "h200-llama2-13b-estimate-start-60us.json")


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--profile", type=Path, action="append")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for path in args.profile or PROFILES:
        problem = ExactProblem(Contender("drex", shipped_policy("drex"), {}), load_profile(path), "total-completion",
                               0.05, requests=args.requests, tokens=args.tokens)
        rng = np.random.default_rng(0)
        workloads = [problem.workload(problem.draw(rng)) for _ in range(args.samples)]
        attribute_many(problem.bound, workloads[:2], problem.objective)  # kernels are compiled once per installation
        for jobs in dict.fromkeys((1, args.jobs)):
            begun, spent = time.perf_counter(), time.process_time()
            found = attribute_many(problem.bound, workloads, problem.objective, jobs=jobs)
            wall, cpu = time.perf_counter() - begun, time.process_time() - spent
            losing = sum(item.attribution.gap > 0 for item in found)
            steps = sum(item.attribution.steps for item in found)
            own = f"{cpu:.1f}" if jobs == 1 else ""  # the CPU seconds of other processes are not this one's
            rows.append(f"| {path.stem} | {args.samples} | {losing} | {steps} | {jobs} | {wall:.1f} | {own} | "
                        f"{args.samples / wall:.0f} |")
            print(rows[-1], flush=True)
    text = "\n".join((f"# Attribution of {args.requests} x {args.tokens} workloads", "",
                      "| profile | samples | losing | decisions | processes | wall s | CPU s | samples/s |",
                      "|---|---|---|---|---|---|---|---|", *rows, ""))
    print(text)
    if args.out:
        write_atomic(args.out, text)


if __name__ == "__main__":
    main()
