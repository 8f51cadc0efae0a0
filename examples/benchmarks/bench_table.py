"""The compact tables of a saved `drex bench`: policies down, exit rates across, each ratio with its interval.

    drex bench --policies flush-now,adaptive,drex --rounds 12 --save-result bench.json
    python examples/benchmarks/bench_table.py bench.json

A cell is the median over rounds of tokens per second / no-exit in the same round, with the order-statistics interval of
that median; `=`: the interval holds 1. Intervals are computed from the rounds, so files of earlier versions do too.
If the file has the table of KV fills at equal pool bytes, that follows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from drex_runtime.bench.compare import BASELINE
from drex_runtime.bench.interval import median_interval
from drex_runtime.bench.saved import SavedBench, SavedFills, ratios, read_bench
from drex_runtime.bench.tables import level_text
from drex_runtime.errors import DrexError
from drex_runtime.records.files import write_atomic


def cell(values: Sequence[float]) -> str:
    """`0.97 [0.95, 0.99]`; `=` where it cannot be told from 1."""
    found = median_interval(values)
    if not found.level:
        return f"{median(values):.2f}"
    return f"{median(values):.2f} [{found.low:.2f}, {found.high:.2f}]{'' if found.excludes(1) else ' ='}"


def policy_table(bench: SavedBench) -> Iterator[str]:
    """Lines of Markdown: one row per policy but the baseline."""
    cases = list(dict.fromkeys(row.case for row in bench.rows))
    cells = {(row.policy, row.case): cell(ratios(row, bench.rows, BASELINE)) for row in bench.rows}
    yield f"| tokens/s / {BASELINE} at exit rate | " + " | ".join(cases) + " |"
    yield "|" + "---|" * (1 + len(cases))
    for policy in dict.fromkeys(row.policy for row in bench.rows if row.policy != BASELINE):
        yield f"| {policy} | " + " | ".join(cells.get((policy, case), "-") for case in cases) + " |"


def fill_table(fills: SavedFills) -> Iterator[str]:
    """Lines of Markdown: one row per exit rate and fill."""
    yield f"KV fills in pools of {fills.pool_bytes} bytes, policy {fills.policy}:"
    yield ""
    yield ("| exit rate | KV fill | requests in flight | preempted per run | cells per token "
           f"| tokens/s / {fills.against} |")
    yield "|---|---|---|---|---|---|"
    for row in fills.rows:
        held = row.occupancy or {}
        ratio = "1" if row.fill == fills.against else cell(ratios(row, fills.rows, fills.against))
        yield (f"| {row.case} | {row.fill} | {held.get('mean_in_flight', 0.0):.2f} | {row.preemptions:.1f} "
               f"| {held.get('cells_per_token', 0.0):.2f} | {ratio} |")


def report(bench: SavedBench) -> Iterator[str]:
    """What ran where, then the tables."""
    unsaid = dict.fromkeys(("model", "command", "max_num_seqs", "device", "threads", "date"), "?")
    about = {**unsaid, **bench.about}
    yield f"`{about['command']}`"
    yield ""
    yield (f"Measured: {about['model']}, N = {about['max_num_seqs']}, {about['device']}, {about['threads']} torch "
           f"threads, {about['date']}; {level_text(len(bench.rows[0].rounds))}; `=`: 1 is not excluded.")
    yield ""
    yield from policy_table(bench)
    if bench.kv_fills is not None:
        yield ""
        yield from fill_table(bench.kv_fills)


def main() -> None:
    """Print the tables; write them with --out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("result", type=Path, help="JSON of drex bench --save-result")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    asked = parser.parse_args()
    try:
        text = "\n".join(report(read_bench(asked.result))) + "\n"
        print(text, end="")
        if asked.out is not None:
            write_atomic(asked.out, text)
    except DrexError as error:
        print(f"bench_table: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
