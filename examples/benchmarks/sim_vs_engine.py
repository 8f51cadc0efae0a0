"""Simulator against engine: a profile of this machine, then random workloads, predicted beside measured.

    python examples/benchmarks/sim_vs_engine.py --out examples/benchmarks/results/sim_vs_engine.md

Each workload draws policy, N, lengths, exit rate, persistence and arrivals from its seed. The engine takes its
decisions on the profile's clock, so that its launches are those of the simulator and every one can be compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import get_args

import numpy as np
import torch

from drex_runtime.bench.model import BenchModel, bench_model
from drex_runtime.bench.traffic import Arrivals, arriving, synthetic
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.profiling.device import device_name
from drex_runtime.profiling.fit import fit_profile
from drex_runtime.profiling.measure import Plan, Timer, measure
from drex_runtime.profiling.replay import LaunchTime, Replay, replay
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.records.profile import KVFill

POLICIES = ("no-exit", "flush-now", "threshold", "drex")
TARGET = 0.10  # median relative error of the makespan


@dataclass(frozen=True)
class Trial:
    """One workload, how it was drawn, and what came out."""

    number: int
    policy: str
    places: int
    said: str
    result: Replay

    @property
    def error(self) -> float:
        """Predicted / measured - 1 of the makespan."""
        return self.result.predicted / self.result.measured - 1

    @property
    def busy_error(self) -> float:
        """The same without the idle time, which both share."""
        idle = self.result.idle
        return (self.result.predicted - idle) / (self.result.measured - idle) - 1


def draw(number: int, num_segments: int, largest: int) -> tuple[str, int, Workload, str]:
    """Policy, N, workload and a description, all from the number."""
    rng = np.random.default_rng([2026, number])
    policy = POLICIES[int(rng.integers(len(POLICIES)))]
    places = int(rng.integers(1, largest + 1))
    prompt, output, count = int(rng.integers(4, 160)), int(rng.integers(4, 40)), int(rng.integers(2, 3 * places + 2))
    rate, persistence = Fraction(int(rng.integers(0, 101)), 100), Fraction(int(rng.integers(0, 10)), 10)
    speed = None if rng.random() < 0.5 else float(rng.uniform(5, 100))
    made = synthetic(num_segments, rate, count=count, prompt_tokens=prompt, output_tokens=output, seed=number,
                     tick="ns", persistence=persistence)
    said = f"{count} x ({prompt} + {output}) tokens, exit rate {float(rate):.2f}, " + (
        "all at once" if speed is None else f"{speed:.0f} requests/s")
    return policy, places, arriving(made, Arrivals(speed), number), said


def profiled(model: BenchModel, rows: int, seconds: float, timer: Timer, kv_fill: KVFill) -> CostProfile:
    """A profile of this machine, as `drex profile` makes it."""
    sizes = (*(size for size in (1, 2, 4, 8, 16, 32) if size < rows), rows)
    plan = Plan(sizes, rounds=50, seconds=seconds, kv_fill=kv_fill)
    points, rounds = measure(model.model, plan, timer=timer)
    return fit_profile(points, plan, name=model.name, model=model.name,
                       num_segments=model.model.config.num_segments, dtype="float32", rounds=rounds)


def trials(model: BenchModel, profile: CostProfile, count: int, rows: int, timer: Timer) -> Iterator[Trial]:
    """Run the workloads one after the other."""
    for number in range(count):
        policy, places, workload, said = draw(number, profile.num_segments, rows)
        config = ServerConfig(places, places, 512)
        bound = bind(shipped_policy(policy), profile, config)
        yield Trial(number, policy, places, said, replay(model.model, bound, workload, seed=number, timer=timer))


def report(found: list[Trial], profile: CostProfile, minutes: float, cpu_time: bool) -> Iterator[str]:
    """Markdown lines."""
    errors = sorted(abs(item.error) for item in found)
    yield "# Simulator against engine"
    yield ""
    yield (f"{device_name()}; KV fill {profile.meta.kv_fill}; {profile.meta.method}; "
           f"measured {minutes:.1f} minutes before the last workload. "
           f"Times are {'CPU time of the engine thread' if cpu_time else 'wall clock'}.")
    yield ""
    yield (f"Makespan, {len(found)} workloads: median error {median(errors):.1%} (target {TARGET:.0%}), "
           f"largest {errors[-1]:.1%}, mean signed {np.mean([item.error for item in found]):+.1%}; without idle time "
           f"median {median(abs(item.busy_error) for item in found):.1%}. Fit error of the profile "
           f"{profile.meta.fit_error:.1%}.")
    yield ""
    yield "| launch | launches | median error | sum predicted / measured |"
    yield "|---|---|---|---|"
    kinds: dict[str, list[LaunchTime]] = defaultdict(list)
    for trial in found:
        for launch in trial.result.launches:
            kind = launch.launch.kind
            kinds[kind if kind == "PREFILL" else f"RUN({launch.launch.pool})"].append(launch)
    for kind, items in sorted(kinds.items()):
        each = median(abs(item.predicted - item.measured) / item.measured for item in items)
        whole = sum(item.predicted for item in items) / sum(item.measured for item in items)
        yield f"| {kind} | {len(items)} | {each:.1%} | {whole:.3f} |"
    yield ""
    yield "| workload | policy | N | predicted ms | measured ms | error |"
    yield "|---|---|---|---|---|---|"
    for item in found:
        yield (f"| {item.said} | {item.policy} | {item.places} | {item.result.predicted / 1e6:.1f} "
               f"| {item.result.measured / 1e6:.1f} | {item.error:+.1%} |")


def main() -> None:
    """Profile, run, print; write with --out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="model folder; default: the demo model")
    parser.add_argument("--random-model", help="a shape, as for drex bench")
    parser.add_argument("--workloads", type=int, default=30)
    parser.add_argument("--rows", type=int, default=16, help="largest N")
    parser.add_argument("--profile-seconds", type=float, default=40.0)
    parser.add_argument("--cpu-time", action="store_true", help="time the engine's thread instead of the wall "
                        "clock: for a machine on which other programs run")
    parser.add_argument("--kv-fill", choices=get_args(KVFill), default="share",
                        help="of the engine, in profile and replays")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    asked = parser.parse_args()
    model = bench_model(asked.model, asked.random_model)
    if asked.cpu_time:
        torch.set_num_threads(1)  # the timer counts one thread
    timer: Timer = time.thread_time_ns if asked.cpu_time else time.perf_counter_ns
    begun = time.monotonic()
    profile = profiled(model, asked.rows, asked.profile_seconds, timer, asked.kv_fill)
    found = []
    for trial in trials(model, profile, asked.workloads, asked.rows, timer):
        found.append(trial)
        print(f"{trial.number}: {trial.error:+.1%}", file=sys.stderr)
    text = "\n".join(report(found, profile, (time.monotonic() - begun) / 60, asked.cpu_time)) + "\n"
    print(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
