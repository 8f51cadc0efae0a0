"""`xplain`: analyse a scheduler, tune it, certify what was found, render the report again."""

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
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="A shipped policy (drex), a YAML rule table, a shipped problem (see "
                       "`xplain problems`), or file.py:Name of a policy or problem.")],
    profile: Profile = None,
    space: Annotated[Path | None, typer.Option(help="Input space (YAML). Default: the subject's.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Workloads are windows of this trace instead of generated ones: a "
                     "recording, Azure or BurstGPT CSV, Mooncake or Qwen-Bailian JSONL, a workload (.json).")] = None,
    trace_first: Annotated[int | None, typer.Option(help="Use only its first requests.", min=1)] = None,
    exit_rates: Annotated[str | None, typer.Option(help="Share of tokens that exit at each ramp, as in 0.5 or 0.3,0.2: "
                          "for the depths that --trace lacks.")] = None,
    persistence: Annotated[str, typer.Option(help="With --exit-rates: chance that a token exits where the one before "
                           "it did.")] = "0",
    similarity: Annotated[str, typer.Option(help="With --exit-rates: how alike requests exit: 0 independent, 1 the "
                          "same.")] = "0",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Parameter of the policy, or option of the "
                    "problem: name=value; repeatable.")] = None,
    benchmark: Annotated[list[str] | None, typer.Option(help="policy:NAME, best-params (the same policy with "
                         "the best of a fixed set of settings) or clairvoyant, repeatable: at operating scale the best "
                         "one counts at each input. The clairvoyant is always the exact scale's; at operating scale "
                         "its gap is an interval, for more inputs if named.")] = None,
    objective: Annotated[str, typer.Option(help="total-completion, makespan or misses (requests "
                         "later than their due dates; see the dimension slo)")] = "total-completion",
    requests: Annotated[int, typer.Option(help="Requests of the exact scale.")] = 5,
    tokens: Annotated[int, typer.Option(help="Tokens per request of the exact scale.")] = 4,
    method: Annotated[str, typer.Option(help="How the worst case of the exact scale is proved: auto, enumerate, milp, "
                      "smt; blackbox searches only.")] = "auto",
    solver: Annotated[str, typer.Option(help="For milp, or auto where it chooses that: auto, highs, cpsat, "
                      "gurobi.")] = "auto",
    threshold: Annotated[float | None, typer.Option(help="tau: the gap from which an input counts as bad. Default: "
                         "0.05, or the problem's own.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds for search, proof and tuning together.")] = 60.0,
    evaluations: Annotated[int | None, typer.Option(help="Bound the search by inputs per scale instead of seconds: "
                           "reproducible from the seed.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="Fix N, the requests in flight, instead of searching "
                            "over it.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Threads. Default: 2 for policies, 1 for problems.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder to create. Default: runs/analyze-DATE.")] = None,
) -> None:
    """Search, explain, tune and report. The last line printed is the report's path.

    Interrupted, the same command with the same --out goes on after the last stage that was finished.
    """
    from xplain.commands import run_analyze
    from xplain.studies.open import is_problem

    folder = out or Path("runs") / f"analyze-{datetime.now():%Y%m%d-%H%M%S}"
    if is_problem(subject):
        from xplain.studies.command import run_study

        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        run_study(subject=subject, given=given, space=space, settings=set_ or [], threshold=threshold, budget=budget,
                  evaluations=evaluations, jobs=1 if jobs is None else jobs, seed=seed, out=folder,
                  command="xplain " + shlex.join(sys.argv[1:]))
        return
    run_analyze(subject=subject, profile=profile, space=space, settings=set_ or [], benchmarks=benchmark or [],
                objective=objective, requests=requests, tokens=tokens,
                threshold=0.05 if threshold is None else threshold, budget=budget, trace=trace,
                trace_first=trace_first, exit_rates=exit_rates, persistence=persistence, similarity=similarity,
                method=method, solver=solver, evaluations=evaluations, max_num_seqs=max_num_seqs,
                jobs=2 if jobs is None else jobs, seed=seed, out=folder, command="xplain " + shlex.join(sys.argv[1:]))


@app.command()
def tune(
    run: Annotated[Path, typer.Argument(help="A run folder of `xplain analyze`.")],
    trials: Annotated[int, typer.Option(help="Settings to try.")] = 200,
    parameters: Annotated[list[str] | None, typer.Option("--parameter", help="Search these parameters instead of "
                          "those the causes name; repeatable; `all` for all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: RUN/tuned.yaml.")] = None,
    jobs: Annotated[int, typer.Option(help="Threads.")] = 2,
    independent: Annotated[float, typer.Option(help="Settings of an independent search, per trial: it says how much of "
                           "the tuning gap is recovered. 10 as in the design, 0: none.", min=0, max=100)] = 1.0,
) -> None:
    """Search the parameters that the causes of RUN name, check them on held-out workloads, write tuned.yaml."""
    from xplain.commands import run_tune

    run_tune(run, trials, tuple(parameters or ()), out or run / "tuned.yaml", jobs, independent)


@app.command()
def certify(
    run: Annotated[Path, typer.Argument(help="A run folder of `xplain analyze`.")],
    kind: Annotated[str, typer.Option(help="a: no workload loses more than g. b: every workload of a region loses. c: "
                    "the tuned parameters never lose more than e to the current ones. d: outside the regions no "
                    "workload is bad. all: all of them.")] = "all",
    size: Annotated[str | None, typer.Option(help="Requests x tokens. Default: 4x4 for a and d, 4x3 for b and "
                    "c.")] = None,
    arrival_steps: Annotated[int | None, typer.Option(help="Arrivals at 0..this many shallow passes. Default: 0 for a "
                             "and d, 2 for b and c.", min=0, max=64)] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="N. Default: as many as requests for a and d, one fewer for "
                            "b and c.", min=1)] = None,
    batch_max: Annotated[int | None, typer.Option(help="Rows of a launch. Default: N.", min=1)] = None,
    against: Annotated[str, typer.Option(help="The policy of b.")] = "flush-now",
    method: Annotated[str, typer.Option(help="enumerate, smt, or auto.")] = "auto",
    quantum: Annotated[int, typer.Option(help="Round costs up to multiples of this many ticks of the profile; 1: as "
                       "measured.", min=1)] = 1,
    seconds: Annotated[float | None, typer.Option(help="For each kind; with --check, for each method and certificate. "
                       "Default: 120, with --check 60.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Prove the stored certificates again, from their own content "
                                        "and by a second method where one ends in time. Exit code 1 unless all "
                                        "hold.")] = False,
) -> None:
    """Prove what can be proved about RUN for small sizes; keep it in RUN/certificates."""
    from xplain.certify.command import run_certify, run_check

    if check:
        if not run_check(run, 60.0 if seconds is None else seconds):
            raise typer.Exit(1)
        return
    run_certify(run, kind=kind, size=size, arrival_steps=arrival_steps, places=max_num_seqs, batch_max=batch_max,
                against=against, method=method, quantum=quantum, seconds=160.0 if seconds is None else seconds)


@app.command()
def generalise(
    problem: Annotated[str, typer.Argument(help="demand-pinning, first-fit, first-fit-decreasing, ee-scheduling, or "
                                           "file.py:NAME of an instance family.")],
    instances: Annotated[int, typer.Option(help="Configurations to look for trends in.", min=1)] = 120,
    held_out: Annotated[int | None, typer.Option(help="Fresh ones to confirm on. Default: as many.", min=1)] = None,
    effort: Annotated[int | None, typer.Option(help="Inputs tried per configuration. Default: the family's.",
                                               min=1)] = None,
    policy: Annotated[str, typer.Option(help="The policy of ee-scheduling.")] = "drex",
    level: Annotated[float, typer.Option(help="Chance of any false claim that is accepted.")] = 0.05,
    null: Annotated[bool, typer.Option("--null", help="Check of the method: responses of other "
                                       "configurations.")] = False,
    loosen: Annotated[Path | None, typer.Option(help="Of ee-scheduling: a cost profile; describe the small workloads "
                                                "that lose under it as loosely as can be verified.")] = None,
    jobs: Annotated[int, typer.Option(help="Threads.")] = 2,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the record (JSON) here.")] = None,
) -> None:
    """Find what makes a heuristic lose more across configurations, and confirm it on configurations not seen."""
    from xplain.generalise.command import run_generalise

    run_generalise(problem, instances=instances, held_out=held_out, effort=effort, policy=policy, seed=seed, jobs=jobs,
                   level=level, null=null, loosen_profile=loosen, out=out)


@app.command()
def problems() -> None:
    """List the problems that can be analysed: size, declared distribution, threshold, options."""
    from xplain.studies.command import print_problems

    print_problems()


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder of `xplain analyze`.")]) -> None:
    """Render RUN/report.html again from its records."""
    from xplain.commands import run_report

    run_report(run)


def main() -> NoReturn:
    """Entry point of `xplain`: one line and exit code 2 for every error a user can cause."""
    command_line.run(app, "xplain")
