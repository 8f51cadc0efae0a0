"""How long the exact search takes and how much it proves: one table, every workload a function of its seed.

    python examples/benchmarks/exact_search.py [--workloads 200] [--only 8x8] [--seed 0] [--out FILE]

Workloads (n requests x T tokens, K = 1), nothing selected or rejected:
- depths: every token is shallow with the workload's exit probability, independently; .2, .5, .8 in turn over the seeds.
- prices of Llama-2-13B on an A100 as published: segments 28.63 and 23.43 ms, start 19.40 ms; rebatch 0.10 ms; free
  ramps and fill; in ticks of 1 us. `early` has the same full pass with the ramp after a quarter of it (13.02 + 39.04
  ms): published prices make a shallow pass so dear that the uncapped optimum is often nothing but full passes.
- general: batch_max n/2, N = n, Poisson arrivals whose mean gap is T full passes / (2 n), so that on average the last
  request comes when half of the first one's full passes are over; first arrival at 0.
- uncapped: batch_max = N = n, all at 0, start = rebatch = 0.
Times are of one solve in this process, one thread, compilation apart (it is done before and its time printed): wall
clock and, because other programs may share the cores, CPU time (`cpu`). Limits are wall clock. A search that reaches
its limit counts with its time and reports [lower bound, incumbent].
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.records.profile import ProfileMeta
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact.results import Limits, SearchResult
from xplain.encodings.exact.search import solve
from xplain.encodings.exact.uncapped import solve_uncapped

EXIT_PROBABILITIES = (0.2, 0.5, 0.8)
START, REBATCH = 19_400, 100
PRICES = {"published": (28_630, 23_430), "early": (13_015, 39_045)}


@dataclass(frozen=True)
class Setting:
    """One line of the table. `seconds`: limit per workload; `target`: median to reach, seconds."""

    requests: int
    tokens: int
    capped: bool
    objective: Objective
    prices: str
    seconds: float
    target: float

    @property
    def size(self) -> str:
        """As in 8x8."""
        return f"{self.requests}x{self.tokens}"


@dataclass(frozen=True)
class Timed:
    """A result and the CPU seconds it took."""

    result: SearchResult
    cpu: float


@dataclass(frozen=True)
class Instance:
    """A workload and the server it meets."""

    workload: Workload
    profile: CostProfile
    config: ServerConfig


SETTINGS = (
    *(Setting(8, 8, True, objective, "published", 5.0, 0.05) for objective in ("makespan", "total-completion")),
    *(Setting(16, 16, True, objective, "published", 1.0, 1.0) for objective in ("makespan", "total-completion")),
    *(Setting(32, 20, False, "makespan", prices, 10.0, 1.0) for prices in PRICES),
    *(Setting(128, 20, False, "makespan", prices, 20.0, 5.0) for prices in PRICES),
)


def instance(setting: Setting, seed: int) -> Instance:
    """The workload of a seed; settings of one size and kind share workloads."""
    random = Random(f"{setting.size} {setting.capped} {seed}")
    exits = EXIT_PROBABILITIES[seed % len(EXIT_PROBABILITIES)]
    first, second = PRICES[setting.prices]
    gap = setting.tokens * (first + second) / (2 * setting.requests)
    arrival, requests = 0.0, []
    for identity in range(setting.requests):
        depths = tuple(1 if random.random() < exits else 2 for _ in range(setting.tokens))
        requests.append(Request(identity, round(arrival) if setting.capped else 0, 0, depths))
        arrival += random.expovariate(1 / gap)
    profile = CostProfile(
        f"A100 13B {setting.prices}", (setting.requests,), (SegmentCost((first,)), SegmentCost((second,))),
        ramps=(LinearCost(),), starts=(START if setting.capped else 0,), rebatch=REBATCH if setting.capped else 0,
        tick="us", meta=ProfileMeta(origin="published" if setting.prices == "published" else "synthetic"))
    cap = setting.requests // 2 if setting.capped else setting.requests
    workload = Workload.of(2, requests, tick="us", source=f"exact_search.py, seed {seed}, exit probability {exits}")
    return Instance(workload, profile, ServerConfig(cap, setting.requests))


def solved(setting: Setting, seed: int, limits: Limits) -> Timed:
    """One timed solve."""
    case = instance(setting, seed)
    began = time.process_time()
    if setting.capped:
        result = solve(case.workload, case.profile, case.config, setting.objective, limits=limits)
    else:
        result = solve_uncapped(case.workload, case.profile, case.config, limits)
    return Timed(result, time.process_time() - began)


def warm_up() -> float:
    """Compile everything once; seconds."""
    began = time.perf_counter()
    for objective in ("makespan", "total-completion"):
        for size in (3, 8):  # depth first and best first
            solved(Setting(size, size, True, objective, "published", 1.0, 1.0), 0, Limits(nodes=4000))
    solved(Setting(6, 8, False, "makespan", "early", 1.0, 1.0), 1, Limits())
    return time.perf_counter() - began


HEADER = ("size", "caps", "prices", "objective", "workloads", "median s", "p90 s", "median cpu s", "p90 cpu s",
          "target s", "proved", "width where unproved")


def median_and_p90(times: list[float]) -> tuple[str, str]:
    """Both as text, seconds."""
    ordered = sorted(times)
    return f"{statistics.median(ordered):.3f}", f"{ordered[min(len(ordered) - 1, (9 * len(ordered)) // 10)]:.3f}"


def row_of(setting: Setting, timed: list[Timed]) -> tuple[str, ...]:
    """The table's line for these results."""
    intervals = [one.result.interval for one in timed]
    open_ends = [interval for interval in intervals if not interval.proved]
    width = "-"
    if open_ends:
        share = statistics.mean(interval.width / interval.lower for interval in open_ends)
        width = f"{statistics.mean(interval.width for interval in open_ends) / 1000:.1f} ms = {share:.1%}"
    num_proved = len(timed) - len(open_ends)
    caps = f"cap {setting.requests // 2}" if setting.capped else "none"
    return (setting.size, caps, setting.prices, setting.objective, str(len(timed)),
            *median_and_p90([one.result.seconds for one in timed]), *median_and_p90([one.cpu for one in timed]),
            f"{setting.target:g}", f"{num_proved / len(timed):.1%} ({num_proved})", width)


def run(setting: Setting, workloads: int, seed: int, note: Callable[[str], None]) -> Iterator[Timed]:
    """Solve the setting's workloads one after the other, saying how far it is."""
    proved = 0
    for count in range(1, workloads + 1):
        timed = solved(setting, seed + count - 1, Limits(seconds=setting.seconds))
        proved += timed.result.interval.proved
        note(f"{setting.size} {setting.prices} {setting.objective}: {count}/{workloads}, {proved} proved")
        yield timed


def progress(text: str) -> None:
    """One line on stderr that is overwritten; silent when stderr is no terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def main() -> None:
    """Print the table (Markdown), and write it to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, default=200, help="per line of the table (default 200)")
    parser.add_argument("--only", action="append", choices=sorted({setting.size for setting in SETTINGS}),
                        help="only this size; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="first seed (default 0)")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    if options.workloads < 1:
        parser.error(f"--workloads = {options.workloads}: expected 1 or more")
    lines = [f"compilation and warm-up: {warm_up():.1f} s", "", "| " + " | ".join(HEADER) + " |",
             "|" + "---|" * len(HEADER)]
    print("\n".join(lines), flush=True)
    for setting in SETTINGS:
        if options.only and setting.size not in options.only:
            continue
        lines.append("| " + " | ".join(row_of(setting, list(run(setting, options.workloads, options.seed, progress))))
                     + " |")
        progress("")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
