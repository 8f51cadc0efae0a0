"""How fast the compiled simulator is: three tables, every workload a function of its seed.

    python examples/benchmarks/simulator.py [--repeats 9] [--requests 400] [--tokens 60] [--out FILE]

- compilation: first call in a fresh process with an empty cache, then with the cache filled.
- runs: workloads of --requests requests x --tokens tokens on the H200 estimate (start = 60 us; K = 3: its two
  segments and its ramp halved), prompts of 100, 500 or none, half of the tokens exit at a ramp, Poisson arrivals fast
  enough to fill all N places. Token-segments are rows summed over executed segments. A repeat is one whole run with
  tokens, times and place-time kept; median, and spread from fastest to slowest repeat.
- values along a run: at every choice point of one policy's run, what another policy would reach from there.
Times of runs are CPU time of the one thread that computes, because other programs may share the cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from drex_runtime.policies import SHIPPED, bind
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload, load_profile
from drex_runtime.simulator.compiled import CompiledPolicy, CompiledWorkload, reference_values, simulate_compiled

PROFILE = Path(__file__).parent.parent / "profiles" / "h200-llama2-13b-estimate-start-60us.json"
RESOURCES = ((64, 64), (64, 32), (16, 16))  # N, batch_max
LEAST_SEGMENTS, LEAST_REQUESTS = 1e6, 5e3  # per second; asked for at N = batch_max = 64


def profile_of(num_ramps: int) -> CostProfile:
    """The estimate as it is (K = 1), or with each segment cut in two (K = 3)."""
    profile = load_profile(PROFILE)
    if num_ramps == 1:
        return profile
    halves = [SegmentCost(tuple(value // 2 for value in segment.fixed), segment.per_row // 2, segment.per_context // 2)
              for segment in profile.segments for _ in range(2)]
    ramp = LinearCost(profile.ramps[0].fixed // 2, profile.ramps[0].per_row // 2)
    return replace(profile, name=f"{profile.name}-halved", segments=tuple(halves), ramps=(ramp,) * 3,
                   starts=profile.starts * 3)


def workload_of(profile: CostProfile, requests: int, tokens: int, seed: int) -> Workload:
    """Arrivals in the time of a few full passes, so that every place is taken."""
    random, segments, now = Random(seed), profile.num_segments, 0
    found = []
    for identity in range(requests):
        depths = random.choices(range(1, segments + 1), [1] * (segments - 1) + [segments - 1], k=tokens)
        found.append(Request(identity, now, random.choice((0, 100, 500)), (segments, *depths[1:])))
        now += int(random.expovariate(1) * profile.segment_cost(1, 1, 0) / 10)
    return Workload.of(segments, found, tick=profile.tick)


def timed(policy: CompiledPolicy, workload: CompiledWorkload, repeats: int) -> list[float]:
    """CPU seconds of this thread, per run."""
    found = []
    for _ in range(repeats):
        begin = time.thread_time()
        simulate_compiled(policy, workload)
        found.append(time.thread_time() - begin)
    return found


def compilation() -> Iterator[str]:
    """First calls in fresh processes: cold and with the cache on disk."""
    code = ("import time; b, c = time.time(), time.process_time()\n"
            "from drex_runtime.simulator import entries, memory\nimport numpy as np\n"
            "from drex_runtime.policies import SHIPPED, bind\nfrom drex_runtime.records import *\n"
            "from drex_runtime.simulator.compiled import simulate_compiled\n"
            "p = CostProfile('p', (1,), (SegmentCost((1,)),)); b, c = time.time(), time.process_time()\n"
            "w = Workload.of(1, [Request(0, 0, 0, (1,))])\n"
            "simulate_compiled(bind(SHIPPED['no-exit'], p, ServerConfig(1, 1)), w)\n"
            "print(f'{time.time() - b:.1f} | {time.process_time() - c:.1f}')")
    yield "| first call | wall clock, s | CPU, s |"
    yield "|---|---|---|"
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cache empty", "cache filled"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True,
                                  text=True)
            yield f"| {name} | {done.stdout.strip()} |"


def runs(requests: int, tokens: int, repeats: int) -> Iterator[str]:
    """Speed of single runs; the last line says whether the asked speed was reached by every policy."""
    yield ("| K | N | batch_max | policy | ms a run | spread, ms | million token-segments/s | requests/s | choices | "
           "ns a choice |")
    yield "|" + "---|" * 10
    slowest, fewest = float("inf"), float("inf")
    for num_ramps in (1, 3):
        profile = profile_of(num_ramps)
        workload = CompiledWorkload.of(workload_of(profile, requests, tokens, num_ramps))
        for places, batch_max in RESOURCES:
            for name in SHIPPED:
                policy = CompiledPolicy.of(bind(SHIPPED[name], profile, ServerConfig(batch_max, places)))
                run = simulate_compiled(policy, workload)
                seconds = timed(policy, workload, repeats)
                median = statistics.median(seconds)
                if (places, batch_max) == (64, 64):
                    slowest, fewest = min(slowest, run.row_segments / median), min(fewest, requests / median)
                yield (f"| {num_ramps} | {places} | {batch_max} | {name} | {median * 1e3:.2f} | "
                       f"{min(seconds) * 1e3:.2f}-{max(seconds) * 1e3:.2f} | {run.row_segments / median / 1e6:.1f} | "
                       f"{requests / median:,.0f} | {run.choices:,} | {median / run.choices * 1e9:.0f} |")
    yield ""
    yield (f"slowest policy at N = batch_max = 64: {slowest / 1e6:.1f} million token-segments/s (asked: "
           f"{LEAST_SEGMENTS / 1e6:.0f}), {fewest:,.0f} requests/s (asked: {LEAST_REQUESTS:,.0f})")


def values(requests: int, tokens: int) -> Iterator[str]:
    """What the values of a reference policy along a run cost."""
    yield "| policy | reference | every | choice points | with a value | reference runs | s |"
    yield "|" + "---|" * 7
    profile = profile_of(1)
    workload = CompiledWorkload.of(workload_of(profile, requests, tokens, 7))
    policies = {name: CompiledPolicy.of(bind(SHIPPED[name], profile, ServerConfig(64, 64)))
                for name in ("drex", "no-exit", "flush-now")}
    for name, reference in (("drex", "no-exit"), ("drex", "flush-now"), ("flush-now", "no-exit")):
        for every in (1, 10, 100):
            begin = time.thread_time()
            found = reference_values(policies[name], policies[reference], workload, "total-completion", every=every)
            seconds = time.thread_time() - begin
            yield (f"| {name} | {reference} | {every} | {len(found.trajectory):,} | {len(found.steps) - 1:,} | "
                   f"{found.runs:,} | {seconds:.2f} |")


def main() -> None:
    """Print the tables (Markdown), and write them to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="runs per line (default 9)")
    parser.add_argument("--requests", type=int, default=400, help="per workload (default 400)")
    parser.add_argument("--tokens", type=int, default=60, help="per request (default 60)")
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    for name, least in (("repeats", 1), ("requests", 1), ("tokens", 2)):
        if getattr(options, name) < least:
            parser.error(f"--{name} = {getattr(options, name)}: expected {least} or more")
    lines = []
    for part in (compilation(), runs(options.requests, options.tokens, options.repeats), values(200, 60)):
        for line in part:
            print(line, flush=True)
            lines.append(line)
        print()
        lines.append("")
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
