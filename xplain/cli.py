"""`xplain`: analyse a scheduler, tune it, render the report again."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from drex_runtime import command_line

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  context_settings={"help_option_names": ["-h", "--help"]})

Profile = Annotated[Path | None, typer.Option(help="Cost profile (JSON). Default: the one shipped for the demo model.")]


@app.callback()
def xplain(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True,
                                                 callback=command_line.print_version)] = False) -> None:
    """Find the workloads on which a scheduler underperforms, say why, and what to set instead."""


@app.command()
def analyze(
    subject: Annotated[str, typer.Argument(help="A shipped policy (drex), a YAML rule table, or file.py:Name.")],
    profile: Profile = None,
    space: Annotated[Path | None, typer.Option(help="Input space (YAML). Default: EE scheduling.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Workloads are windows of this trace instead of generated ones: a "
                     "recording, Azure or BurstGPT CSV, Mooncake or Qwen-Bailian JSONL, a workload (.json).")] = None,
    trace_first: Annotated[int | None, typer.Option(help="Use only its first requests.", min=1)] = None,
    exit_rates: Annotated[str | None, typer.Option(help="Share of tokens that exit at each ramp, as in 0.5 or 0.3,0.2: "
                          "for the depths that --trace lacks.")] = None,
    persistence: Annotated[str, typer.Option(help="With --exit-rates: chance that a token exits where the one before "
                           "it did.")] = "0",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Parameter of the subject: name=value.")] = None,
    benchmark: Annotated[list[str] | None, typer.Option(help="policy:NAME or clairvoyant, repeatable: at operating "
                         "scale the best policy named counts at each point; the exact scale always uses the "
                         "clairvoyant.")] = None,
    objective: Annotated[str, typer.Option(help="total-completion or makespan")] = "total-completion",
    requests: Annotated[int, typer.Option(help="Requests of the exact scale.")] = 5,
    tokens: Annotated[int, typer.Option(help="Tokens per request of the exact scale.")] = 4,
    method: Annotated[str, typer.Option(help="How the worst case of the exact scale is proved: auto, enumerate, milp, "
                      "smt; blackbox searches only.")] = "auto",
    solver: Annotated[str, typer.Option(help="For milp, or auto where it chooses that: auto, highs, cpsat, "
                      "gurobi.")] = "auto",
    threshold: Annotated[float, typer.Option(help="tau: a relative gap from which a workload counts as bad.")] = 0.05,
    budget: Annotated[float, typer.Option(help="Seconds for search, proof and tuning together.")] = 60.0,
    evaluations: Annotated[int | None, typer.Option(help="Bound the search by inputs per scale instead of seconds: "
                           "reproducible from the seed.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="Fix N, the requests in flight, instead of searching "
                            "over it.")] = None,
    jobs: Annotated[int, typer.Option(help="Threads.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder to create. Default: runs/analyze-DATE.")] = None,
) -> None:
    """Search, explain, tune and report. The last line printed is the report's path."""
    from xplain.commands import run_analyze

    folder = out or Path("runs") / f"analyze-{datetime.now():%Y%m%d-%H%M%S}"
    run_analyze(subject=subject, profile=profile, space=space, settings=set_ or [], benchmarks=benchmark or [],
                objective=objective, requests=requests, tokens=tokens, threshold=threshold, budget=budget,
                trace=trace, trace_first=trace_first, exit_rates=exit_rates, persistence=persistence,
                method=method, solver=solver, evaluations=evaluations, max_num_seqs=max_num_seqs, jobs=jobs,
                seed=seed, out=folder,
                command="xplain " + shlex.join(sys.argv[1:]))


@app.command()
def tune(
    run: Annotated[Path, typer.Argument(help="A run folder of `xplain analyze`.")],
    trials: Annotated[int, typer.Option(help="Settings to try.")] = 200,
    parameters: Annotated[list[str] | None, typer.Option("--parameter", help="Search these parameters instead of "
                          "those the causes name; repeatable; `all` for all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: RUN/tuned.yaml.")] = None,
    jobs: Annotated[int, typer.Option(help="Threads.")] = 2,
) -> None:
    """Search the parameters that the causes of RUN name, check them on held-out workloads, write tuned.yaml."""
    from xplain.commands import run_tune

    run_tune(run, trials, tuple(parameters or ()), out or run / "tuned.yaml", jobs)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder of `xplain analyze`.")]) -> None:
    """Render RUN/report.html again from its records."""
    from xplain.commands import run_report

    run_report(run)


def main() -> NoReturn:
    """Entry point of `xplain`: one line and exit code 2 for every error a user can cause."""
    command_line.run(app, "xplain")
