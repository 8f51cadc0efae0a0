"""Pool the rounds of several saved `drex bench` results: median ratio to no-exit and its interval per exit rate.

    python examples/benchmarks/bench_pool.py RESULT.json [RESULT.json ...]
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from drex_runtime.bench.interval import median_interval


def main() -> None:
    """Print a Markdown table."""
    pool: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for path in map(Path, sys.argv[1:]):
        saved = json.loads(path.read_text(encoding="utf-8"))
        base = {row["case"]: row["rounds"] for row in saved["rows"] if row["policy"] == "no-exit"}
        for row in saved["rows"]:
            if row["policy"] != "no-exit":
                pool[row["policy"], row["case"]] += [
                    one["tokens_per_second"] / other["tokens_per_second"]
                    for one, other in zip(row["rounds"], base[row["case"]], strict=True)]
    print("| policy | exit rate | rounds | tokens/s / no-exit | interval of the median |\n|---|---|---|---|---|")
    for (policy, case), ratios in sorted(pool.items()):
        interval = median_interval(ratios)
        print(f"| {policy} | {case} | {len(ratios)} | {median(ratios):.3f} | "
              f"{interval.low:.3f} to {interval.high:.3f} |")


if __name__ == "__main__":
    main()
