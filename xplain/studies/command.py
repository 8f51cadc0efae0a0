"""What `xplain analyze PROBLEM` and `xplain problems` do, once their options are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drex_runtime.errors import InputError
from drex_runtime.policies.shipped import SHIPPED as POLICIES
from drex_runtime.progress import progress
from xplain.commands import goes_on, parsed, print_verdict
from xplain.records import Dimension
from xplain.run_folder import check_free
from xplain.space import load_space
from xplain.studies.analyze import analyze_study
from xplain.studies.open import SHIPPED, fingerprints, open_problem, options_of
from xplain.studies.request import StudyRequest
from xplain.studies.words import Words, subject_of

TAKEN = ("subject", "space", "set_", "threshold", "budget", "evaluations", "jobs", "seed", "out")


def run_study(*, subject: str, given: Sequence[str], space: Path | None, settings: list[str], threshold: float | None,
              budget: float, evaluations: int | None, jobs: int, seed: int, out: Path, command: str) -> None:
    """Check everything first, analyse, print the verdict and the report's path. `given`: options that were typed."""
    for name in given:
        if name not in TAKEN:
            raise InputError(subject, f"--{name.replace('_', '-')}", "given", "only options of problems: "
                             f"{', '.join(_option(each) for each in TAKEN[1:])}")
    check_free(out)
    chosen = parsed(settings)
    wanted = load_space(space) if space else None
    problem = open_problem(subject, chosen, wanted, str(space))
    request = StudyRequest(subject, chosen, wanted, threshold, budget, evaluations, seed=seed, jobs=jobs,
                           command=command, files=fingerprints(subject, chosen))
    with goes_on(out), progress(f"analysing {subject}") as tell:
        analysis = analyze_study(request, problem, out, tell)
    print_verdict(analysis)
    print(out / "report.html")


def print_problems() -> None:
    """Every shipped problem with its size, distribution, threshold and options."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("problem", "compares", "inputs", "bad from", "options (--set)"):
        table.add_column(name, overflow="fold")
    table.add_row("POLICY", f"a policy (such as {next(iter(POLICIES))}; `drex policies` lists them) with other "
                  "policies and the clairvoyant optimum", "workloads: load, exit rate, lengths, requests in flight "
                  "(--space)", "5 %", "the policy's parameters")
    for name, kind in SHIPPED.items():
        problem = kind()
        subject = subject_of(problem)
        words = Words(subject)
        table.add_row(name, f"{subject.heuristic} with {subject.benchmark}",
                      f"{_size(problem.dimensions)}; {subject.distribution}",
                      words.threshold(problem.threshold) + words.of(),
                      ", ".join(f"{option} ({_default(each.default)})" for option, each in options_of(kind).items()))
    table.add_row("FILE.py:NAME", "your own: docs/own-heuristic.md", "its dimensions", "its threshold",
                  "its constructor's")
    Console(width=118 if not Console().is_terminal else None).print(table)


def _size(dimensions: Sequence[Dimension]) -> str:
    ranges = list(dict.fromkeys(f"{each.low:g} to {each.high:g}" for each in dimensions))
    return f"{len(dimensions)} dimensions ({', '.join(ranges)})"


def _default(value: object) -> str:
    if value is None or value == "":
        return "auto"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"
