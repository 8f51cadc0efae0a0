"""What the commands of `xplain` do, once their options are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from drex_runtime.errors import InputError
from drex_runtime.progress import progress
from drex_runtime.records import load_profile, load_workload
from drex_runtime.records.files import read_text
from drex_runtime.traces.dataset import open_dataset, stated_exits
from xplain.certify.command import FOLDER as CERTIFICATES
from xplain.pipeline import analyze
from xplain.problems.best_params import BEST_PARAMS
from xplain.problems.generator import DIMENSIONS, check_space, default_space, with_dues
from xplain.problems.trace_source import TRACE_DIMENSIONS, trace_space
from xplain.records import Analysis
from xplain.report.page import write_report, write_study_report
from xplain.request import TRACE_FILE, AnalysisRequest, has_dues, load_request, operating_problem
from xplain.run_folder import check_free, load_analysis, load_any, load_samples, save_analysis
from xplain.space import load_space
from xplain.stages import store_of
from xplain.studies.record import StudyAnalysis
from xplain.tuning.certified import keep_certificate, no_regression
from xplain.tuning.tune import Plan, tune
from xplain.tuning.write import write_tuned
from xplain.worst_case import require_solver

CERTIFICATE_SECONDS = 20.0  # of `xplain tune`
SHIPPED_PROFILE = Path(__file__).parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json"


def run_analyze(*, subject: str, profile: Path | None, space: Path | None, settings: list[str], benchmarks: list[str],
                max_num_seqs: int | None, out: Path, trace: Path | None = None, trace_first: int | None = None,
                exit_rates: str | None = None, persistence: str = "0", similarity: str = "0", **rest: Any) -> None:
    """Check everything first, analyse, print the verdict and the report's path."""
    check_free(out)
    costs = load_profile(profile or _shipped_profile())
    recorded = None
    if trace is not None:
        exits = stated_exits(exit_rates, persistence, similarity)
        recorded = open_dataset(trace, exits, num_segments=costs.num_segments, seed=rest["seed"], tick=costs.tick,
                                first=trace_first)
    elif exit_rates is not None or trace_first is not None:
        raise InputError("xplain analyze", "--exit-rates, --trace-first", exit_rates or trace_first, "a --trace too")
    late = rest["objective"] == "misses"
    if recorded is None:
        usual, dimensions = default_space(costs.max_rows, max_context=costs.meta.max_context, dues=late), DIMENSIONS
    else:
        usual = trace_space(costs.max_rows, dues=late and not all(item.due is not None for item in recorded.requests))
        dimensions = TRACE_DIMENSIONS
    wanted = load_space(space) if space else usual
    check_space(wanted, str(space) if space else "default space", tuple(dimensions))
    if late and not has_dues(wanted, recorded):
        wanted = with_dues(wanted)
    if max_num_seqs is not None:
        wanted = wanted.restricted("num_seqs", max_num_seqs)
    request = AnalysisRequest(subject=subject, space=wanted, settings=parsed(settings),
                              benchmarks=_policies(benchmarks), clairvoyant="clairvoyant" in benchmarks,
                              trace="" if recorded is None else recorded.source or str(trace), **rest)
    if request.solver != "auto":
        require_solver(request.solver)
    problem = operating_problem(request, costs, recorded)
    problem.bound(problem.heuristic, {"num_seqs": wanted.dimension("num_seqs").low})
    with goes_on(out), progress(f"analysing {subject}") as tell:
        analysis = analyze(request, costs, out, tell, recorded)
    print_verdict(analysis)
    print(out / "report.html")


def run_tune(run: Path, trials: int, parameters: tuple[str, ...], out: Path, jobs: int, independent: float) -> None:
    """Tune again from the records of a run, with its own budget; updates analysis.json and the report."""
    request, analysis = load_request(run / "request.json"), load_analysis(run)
    trace = load_workload(run / TRACE_FILE) if request.trace else None
    problem = operating_problem(request, load_profile(run / "profile.json"), trace)
    if parameters == ("all",):
        parameters = tuple(item.name for item in problem.heuristic.policy.parameters)
    for name in parameters:
        if problem.heuristic.policy.parameter(name) is None:
            known = ", ".join(item.name for item in problem.heuristic.policy.parameters)
            raise InputError(f"policy {problem.heuristic.name}", "parameter", name, f"one of {known}")
    samples = [item for item in load_samples(run) if item.scale == "operating" and item.origin != "held-out"]
    plan = Plan(trials=trials, parameters=parameters, seed=request.seed, jobs=jobs, independent=independent)
    profile = load_profile(run / "profile.json")
    with progress("tuning") as tell:
        tuning = tune(problem, samples, analysis.regions, analysis.attributions, plan, tell, analysis.clusters)
        proved = no_regression(request, profile, tuning, CERTIFICATE_SECONDS, tell)
    analysis = replace(analysis, tuning=replace(tuning, certificate=proved.text))
    write_tuned(out, request, analysis, profile, run.resolve().name)
    keep_certificate(run / CERTIFICATES, proved)
    save_analysis(run, analysis)
    write_report(run / "report.html", analysis, load_samples(run))
    for item in tuning.settings:
        print(f"{item.name}: {item.current} -> {item.proposed}")
    print(tuning.reason)
    if tuning.recovered is not None:
        print(f"{tuning.recovered:.0%} of the tuning gap recovered; {tuning.recovery}")
    print(proved.text)
    print(out)


def run_report(run: Path) -> None:
    """Render the report again."""
    analysis = load_any(run)
    if isinstance(analysis, StudyAnalysis):
        write_study_report(run / "report.html", analysis, load_samples(run))
    else:
        write_report(run / "report.html", analysis, load_samples(run))
    print(run / "report.html")


@contextmanager
def goes_on(out: Path) -> Iterator[None]:
    """After an interruption: say how to go on, if there is something to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        if store_of(out).exists():
            print(f"finished stages are kept; the same command with --out {out} goes on from there", file=sys.stderr)
        raise


def print_verdict(analysis: Analysis | StudyAnalysis) -> None:
    """The verdict and the first findings."""
    print(analysis.verdict)
    for finding in analysis.findings[:3]:
        print(f"- {finding.title}: {finding.where}. {finding.cost} [{finding.evidence}]")


def _shipped_profile() -> Path:
    print(f"no --profile: using the one shipped for the demo model ({SHIPPED_PROFILE.name}); `drex profile` measures "
          "this machine's", file=sys.stderr)
    read_text(SHIPPED_PROFILE)
    return SHIPPED_PROFILE


def parsed(settings: list[str]) -> dict[str, str]:
    """name=value options. Raises InputError."""
    found = {}
    for item in settings:
        name, sign, value = item.partition("=")
        if not sign or not name:
            raise InputError("--set", "setting", item, "name=value")
        found[name.strip()] = value.strip()
    return found


def _policies(benchmarks: list[str]) -> tuple[str, ...]:
    found = []
    for item in benchmarks:
        if item == "clairvoyant":
            continue  # no policy: the exact scale always has it, the operating scale an interval
        if item != BEST_PARAMS and not item.startswith("policy:"):
            raise InputError("--benchmark", "benchmark", item, "policy:NAME, best-params or clairvoyant")
        found.append(item.removeprefix("policy:"))
    return tuple(found) or ("no-exit", "flush-now")
