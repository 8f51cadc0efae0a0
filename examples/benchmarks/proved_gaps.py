"""How long each method takes to prove the largest gap of a policy, by size: one table.

    python examples/benchmarks/proved_gaps.py [--policy drex] [--only 3x3] [--seconds 120] [--out FILE]

Spaces are n equal requests of T tokens with every depth free (K = 1 unless said otherwise), arrivals at 0 or on a grid,
against the clairvoyant optimum. Prices of Llama-2-13B on an A100 as published: segments 28.63 and 23.43 ms, start
19.40 ms, rebatch 0.10 ms, free ramps and fill; in ticks of 1 us. With K = 2 the second segment is cut in halves.
`steps` with HiGHS is the plain time-stepped MILP and the reference of the last column: its time, or its limit, over
the row's time. Each row runs in a process of its own (HiGHS and OR-tools do not live in one), which first solves a
problem of two requests of one token, so that compilation is not in the times. Wall clock and CPU of one run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from drex_runtime.errors import DrexError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import CostProfile, LinearCost, SegmentCost, ServerConfig
from drex_runtime.records.files import write_atomic
from drex_runtime.records.profile import ProfileMeta
from drex_runtime.scheduling.state import Objective
from xplain.encodings.gap import GapProblem
from xplain.encodings.gap.auto import METHODS, maximize, num_workloads
from xplain.encodings.steps.inputs import InputSpace, RequestSpace

REFERENCE = ("steps", "highs")
CONTENDERS = (("enumerate", "auto"), ("lattice", "highs"), ("lattice", "cpsat"), REFERENCE, ("steps", "cpsat"),
              ("smt", "auto"))
GRID = (0, 30_000, 60_000, 90_000)


@dataclass(frozen=True)
class Setting:
    """One problem. `cap`: batch_max; N = n. `grid`: arrivals on GRID instead of at 0."""

    requests: int
    tokens: int
    cap: int
    objective: Objective
    ramps: int = 1
    grid: bool = False

    @property
    def size(self) -> str:
        """As in 3x3."""
        return f"{self.requests}x{self.tokens}"

    def problem(self, policy: str) -> GapProblem:
        """The setting as a gap problem."""
        cuts = {1: (28_630, 23_430), 2: (28_630, 11_715, 11_715)}[self.ramps]
        profile = CostProfile(
            "A100 13B published", (self.requests,), tuple(SegmentCost((ticks,)) for ticks in cuts),
            ramps=(LinearCost(),) * self.ramps, starts=(19_400,) * self.ramps, rebatch=100, tick="us",
            meta=ProfileMeta(origin="published"))
        each = RequestSpace((self.tokens,), GRID if self.grid else (0,))
        space = InputSpace(self.ramps + 1, (each,) * self.requests, "us")
        bound = bind(shipped_policy(policy), profile, ServerConfig(self.cap, self.requests))
        return GapProblem(space, bound, objective=self.objective)


OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion")
SETTINGS = tuple(
    setting for objective in OBJECTIVES for setting in (
        Setting(2, 2, 2, objective), Setting(3, 2, 2, objective), Setting(3, 2, 2, objective, ramps=2),
        Setting(3, 3, 2, objective), Setting(3, 3, 2, objective, grid=True), Setting(4, 3, 2, objective),
        Setting(4, 4, 2, objective), Setting(5, 4, 3, objective), Setting(6, 4, 6, objective),
        Setting(8, 4, 8, objective)))


@dataclass(frozen=True)
class Timed:
    """What one run said. Times in seconds, gaps in ticks; `refused`: why there is no answer."""

    stopped: str = ""
    lower: int | None = None
    upper: int | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    detail: str = ""
    refused: str = ""


def measure(setting: Setting, policy: str, method: str, solver: str, seconds: float) -> Timed:
    """Warm up, then one timed run in this process."""
    try:
        warm_up = Setting(2, 1, min(2, setting.cap), setting.objective, setting.ramps)
        maximize(warm_up.problem(policy), method, solver, seconds)
        began, cpu = time.perf_counter(), cpu_seconds()
        answer = maximize(setting.problem(policy), method, solver, seconds)
        return Timed(answer.stopped, answer.lower, answer.upper, time.perf_counter() - began,
                     cpu_seconds() - cpu, answer.detail)
    except DrexError as error:
        return Timed(refused=str(error))


def cpu_seconds() -> float:
    """Of this process and of those it has waited for (CP-SAT runs in one)."""
    return sum(used.ru_utime + used.ru_stime
               for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def measured_apart(number: int, options: argparse.Namespace, method: str, solver: str) -> Timed:
    """`measure` in a fresh process."""
    asked = [sys.executable, __file__, "--one", str(number), method, solver, "--policy", options.policy, "--seconds",
             str(options.seconds)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        return Timed(refused=f"failed: {done.stderr.strip().splitlines()[-1:]}")
    return Timed(**json.loads(done.stdout.strip().splitlines()[-1]))


HEADER = ("size", "K", "batch_max", "arrivals", "objective", "workloads", "method", "solver", "result", "gap ms",
          "bound ms", "s", "cpu s", "reference / this")


def milliseconds(ticks: int | None) -> str:
    """Ticks of 1 us."""
    return "-" if ticks is None else f"{ticks / 1000:.2f}"


def line(setting: Setting, workloads: int | None, method: str, solver: str, timed: Timed, reference: Timed) -> str:
    """One row."""
    head = (setting.size, str(setting.ramps), str(setting.cap), "4 times" if setting.grid else "0", setting.objective,
            str(workloads), method, solver)
    if timed.refused:
        return "| " + " | ".join((*head, timed.refused, *("-",) * 5)) + " |"
    ratio = "-"
    if not reference.refused and reference.seconds and timed.stopped == "proved":
        ratio = f"{'' if reference.stopped == 'proved' else '> '}{reference.seconds / timed.seconds:.1f}"
    return "| " + " | ".join((*head, timed.stopped, milliseconds(timed.lower), milliseconds(timed.upper),
                              f"{timed.seconds:.2f}", f"{timed.cpu:.2f}", ratio)) + " |"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--policy", default="drex", help="a shipped policy (default drex)")
    made.add_argument("--seconds", type=float, default=120.0, help="limit per run (default 120)")
    made.add_argument("--only", action="append", choices=sorted({setting.size for setting in SETTINGS}),
                      help="only this size; may be repeated")
    made.add_argument("--method", action="append", choices=list(METHODS), help="only this method; may be repeated")
    made.add_argument("--out", type=Path, help="also write the table to this file")
    made.add_argument("--one", nargs=3, metavar=("NUMBER", "METHOD", "SOLVER"), help=argparse.SUPPRESS)
    return made


def main() -> None:
    """Print the table (Markdown), and write it to --out."""
    options = parser().parse_args()
    if options.one:
        number, method, solver = options.one
        print(json.dumps(asdict(measure(SETTINGS[int(number)], options.policy, method, solver, options.seconds))))
        return
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    print("\n".join(lines), flush=True)
    contenders = [each for each in CONTENDERS if not options.method or each[0] in options.method]
    for number, setting in enumerate(SETTINGS):
        if options.only and setting.size not in options.only:
            continue
        found = {each: measured_apart(number, options, *each) for each in contenders}
        workloads = num_workloads(setting.problem(options.policy))
        reference = found.get(REFERENCE, Timed(refused="not run"))
        new = [line(setting, workloads, *each, timed, reference) for each, timed in found.items()]
        print("\n".join(new), flush=True)
        lines += new
    if options.out:
        write_atomic(options.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
