"""The analysis, stage by stage: search -> proof -> regions -> causes -> clusters -> tuning -> conclusion -> run folder.

Every stage is a function from records to a record; `analyze` is the list of them. Source: analyzer design.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console

from drex_runtime.policies import Policy, bind
from drex_runtime.policies.show import policy_view
from drex_runtime.records import CostProfile, ServerConfig, Workload, save_profile, save_workload
from xplain import worst_case
from xplain.causes import EXAMINED_STEPS, HEAT_SAMPLES, PER_REGION, attribute_operating, clusters_of, heat_map_of
from xplain.certify.command import FOLDER as CERTIFICATES
from xplain.conclude import conclude
from xplain.explain.regret import summarise
from xplain.explain.witness import build_witness, simplified
from xplain.problems.best_params import BEST_PARAMS, DESIGN
from xplain.problems.exact import ExactProblem
from xplain.problems.gap_intervals import COUNTED_RUNS, HELD_OUT, HELD_OUT_ASKED, gap_intervals
from xplain.problems.generator import FIXED, REQUESTS_PER_PLACE
from xplain.problems.interface import Problem
from xplain.problems.operating import OperatingProblem
from xplain.problems.trace_source import BLOCKS, TraceSource
from xplain.records import (
    Analysis,
    Attribution,
    Cluster,
    GapInterval,
    HeatMap,
    Provenance,
    Region,
    Resources,
    Sample,
    SearchTrace,
    Tuning,
    Witness,
    WorstCase,
)
from xplain.regions import find_regions, wilson
from xplain.report.page import write_report
from xplain.request import TRACE_FILE, AnalysisRequest, exact_problem, operating_problem, save_request
from xplain.run_folder import new_run_folder, save_analysis, save_samples
from xplain.search import Budget, SearchOutcome, portfolio
from xplain.stages import kept_stages, request_key
from xplain.tuning.certified import NoRegression, keep_certificate, no_regression
from xplain.tuning.tune import Plan, tune
from xplain.tuning.write import write_tuned

# Shares of the budget; what is left goes to held-out sampling, regions and the report.
SEARCH_SHARE, EXACT_SHARE, PROOF_SHARE, TUNING_SHARE = 0.25, 0.1, 0.05, 0.3
CLUSTER_SHARE, HEAT_SHARE, CERTIFICATE_SHARE = 0.1, 0.03, 0.08
INDEPENDENT = 0.5  # of tuning's settings or seconds, for the search that says what could have been reached
MOST_TRIALS = 400  # settings tried, where seconds bound them
INTERVAL_SHARE, INTERVAL_SHARE_ASKED = 0.05, 0.2
HELD_OUT_SEEDS = 1_000_003  # by how much the workload seeds of held-out samples differ from the search's
VERSIONS = ("drex-xplain", "numpy", "numba", "scikit-learn", "optuna", "sympy")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Explained:
    """What the explanation stage found."""

    attributions: tuple[Attribution, ...]
    witnesses: tuple[Witness, ...]


def analyze(request: AnalysisRequest, profile: CostProfile, out: Path, tell: Tell = lambda _: None,
            trace: Workload | None = None) -> Analysis:
    """Run all stages and write the run folder `out`. `trace`: where the operating scale's workloads come from, if not
    from the generator. Raises InputError if `out` exists."""
    begun = time.monotonic()
    operating, exact = operating_problem(request, profile, trace), exact_problem(request, profile)
    tables = [policy_lines(each.policy) for each in (operating.heuristic, *operating.benchmarks)]
    with new_run_folder(out) as folder, \
            kept_stages(out, request_key(request, profile, trace, tables), tell) as stages:
        save_request(folder / "request.json", request)
        save_profile(folder / "profile.json", profile)
        if trace is not None:
            save_workload(folder / TRACE_FILE, trace)
        warm_up(operating, exact, tell)
        tell("exact scale: first proof (compiles its kernels once per installation)")
        worst_case.warm_up(exact, request.method)
        wide = stages.run("search", SearchOutcome, lambda: search(operating, request, SEARCH_SHARE, tell))
        small = stages.run("search-exact", SearchOutcome, lambda: search(exact, request, EXACT_SHARE, tell))
        worst, unproved = stages.run("worst-cases", tuple[tuple[WorstCase, ...], tuple[str, ...]],
                                     lambda: worst_case.worst_cases(exact, proof_means(request), small.samples, tell))
        held_out = stages.run("held-out", tuple[Sample, ...], lambda: sample_held_out(operating, request, tell))
        regions = stages.run("regions", tuple[Region, ...], lambda: find_regions(
            operating, wide.samples, held_out, request.threshold, request.seed, subject=operating.heuristic.name))
        explained = stages.run("explanations", Explained, lambda: explain(
            operating, exact, wide.samples, small.samples, regions, tell))
        clusters = stages.run("clusters", tuple[Cluster, ...], lambda: clusters_of(
            operating, exact, regions, wide.samples, small.samples, explained.attributions, request.seed,
            seconds_of(request, CLUSTER_SHARE), tell))
        heat = stages.run("heat-map", HeatMap | None, lambda: heat_map_of(
            exact, small.samples, seconds_of(request, HEAT_SHARE), tell))
        tuning = stages.run("tuning", Tuning, lambda: tune(
            operating, wide.samples, regions, explained.attributions, tuning_plan(request), tell, clusters))
        proved = stages.run("no-regression", NoRegression, lambda: no_regression(
            request, profile, tuning, seconds_of(request, CERTIFICATE_SHARE), tell))
        tuning = replace(tuning, certificate=proved.text)
        intervals = stages.run("intervals", tuple[GapInterval, ...], lambda: gap_intervals(
            operating, operating.reseeded(operating.seed + HELD_OUT_SEEDS), regions, wide.samples, held_out, tuning,
            inputs=HELD_OUT_ASKED if request.clairvoyant else HELD_OUT, seconds=seconds_of(request, interval_share(
                request)), tell=tell))
        analysis = assemble(request, profile, out, operating, (*wide.traces, *small.traces),
                            (*wide.samples, *small.samples), held_out, regions, explained, tuning, worst, unproved)
        analysis = replace(analysis, clusters=clusters, heat_map=heat, gap_intervals=intervals, provenance=replace(
            analysis.provenance, seconds=time.monotonic() - begun))
        save_analysis(folder, analysis)
        samples = (*wide.samples, *small.samples, *held_out)
        save_samples(folder, samples)
        write_tuned(folder / "tuned.yaml", request, analysis, profile, out.name)
        keep_certificate(folder / CERTIFICATES, proved)
        write_report(folder / "report.html", analysis, samples)
    return analysis


def seconds_of(request: AnalysisRequest, share: float) -> float | None:
    """A share of the budget; None where counts bound the analysis."""
    return None if request.evaluations is not None else request.budget * share


def interval_share(request: AnalysisRequest) -> float:
    """Share of the budget for intervals of the clairvoyant gap at operating scale."""
    return INTERVAL_SHARE_ASKED if request.clairvoyant else INTERVAL_SHARE


def warm_up(operating: OperatingProblem, exact: ExactProblem, tell: Tell) -> None:
    """One evaluation at each scale: compiling the kernels (once per installation) is not part of any budget."""
    for problem in (operating, exact):
        tell(f"{problem.scale} scale: first evaluation (compiles its kernels once per installation)")
        problem.evaluate(problem.draw(np.random.default_rng(0)), 0, "random")


def search(problem: Problem, request: AnalysisRequest, share: float, tell: Tell) -> SearchOutcome:
    """Random inputs and those of methods that seek large gaps, within a share of the budget."""
    def progress(method: str, spent: float, evaluations: int, best: float) -> None:
        tell(f"{problem.scale} scale, {method} {spent:.0%}: {evaluations} inputs, worst gap {best:+.1%}")

    budget = (Budget(seconds=request.budget * share) if request.evaluations is None
              else Budget(evaluations=request.evaluations))
    return portfolio(problem, budget, request.seed, jobs=request.jobs, progress=progress)


def proof_means(request: AnalysisRequest) -> worst_case.Means:
    """How the worst case of the exact scale is proved: within a share of the budget, or up to a number of workloads.

    A MILP or SMT solver has no count to be bounded by: it gets the seconds in either case.
    """
    counted = (request.evaluations is not None and request.method in ("auto", "enumerate")
               and request.solver == "auto")
    return worst_case.Means(request.method, request.solver, None if counted else request.budget * PROOF_SHARE)


def sample_held_out(problem: OperatingProblem, request: AnalysisRequest, tell: Tell) -> tuple[Sample, ...]:
    """Fresh samples from the declared distribution with workload seeds that the search has not used."""
    fresh = problem.reseeded(problem.seed + HELD_OUT_SEEDS)
    rng = np.random.default_rng([request.seed, 15_485_863])
    points = [fresh.draw(rng) for _ in range(request.held_out)]
    tell(f"held-out: {len(points)} fresh points")
    return tuple(Parallel(n_jobs=request.jobs, prefer="threads")(
        delayed(fresh.evaluate)(point, index, "held-out") for index, point in enumerate(points)))


def explain(operating: OperatingProblem, exact: ExactProblem, samples: Sequence[Sample], small: Sequence[Sample],
            regions: Sequence[Region], tell: Tell) -> Explained:
    """Regret by cause: at each region's worst point against the best benchmark policy there, and of a small witness
    against the optimum."""
    by_index = {sample.index: sample for sample in samples}
    targets = [(region.name, by_index[region.worst]) for region in regions if region.worst in by_index]
    if not targets:
        targets = [("worst found", max(samples, key=lambda item: item.relative_gap))]
    attributions = []
    for name, sample in targets:
        tell(f"explaining {name}: gap {sample.relative_gap:+.1%}")
        attributions.append(attribute_operating(operating, sample, name))
    worst = max((item for item in small if item.proved), key=lambda item: item.relative_gap, default=None)
    if worst is None:
        return Explained(tuple(attributions), ())
    tell(f"witness: gap {worst.relative_gap:+.1%} to the proved optimum, simplifying")
    workload = simplified(exact.bound, exact.workload(worst.point), exact.objective, exact.limits)
    config = replace(exact.config, batch_max=min(exact.config.batch_max, exact.profile.max_rows))
    policy = bind(exact.heuristic.policy, exact.profile, config, exact.heuristic.settings)
    witness, regret = build_witness(policy, workload, exact.objective, exact.limits, worst.index)
    attributions.append(summarise(regret, worst.index, f"witness {worst.index}", "clairvoyant"))
    return Explained(tuple(attributions), (witness,))


def tuning_plan(request: AnalysisRequest) -> Plan:
    """Tuning within its share of the budget, or by count: a quarter of the search's, within bounds."""
    plan = Plan(seed=request.seed, jobs=request.jobs, independent=INDEPENDENT)
    if request.evaluations is None:
        return replace(plan, trials=MOST_TRIALS, seconds=request.budget * TUNING_SHARE)
    quarter = request.evaluations // 4
    return replace(plan, trials=min(max(quarter, 20), plan.trials), challenge=min(max(quarter // 4, 4), plan.challenge))


def assemble(request: AnalysisRequest, profile: CostProfile, out: Path, problem: OperatingProblem,
             traces: Sequence[SearchTrace], samples: Sequence[Sample], held_out: Sequence[Sample],
             regions: Sequence[Region], explained: Explained, tuning: Tuning, worst: Sequence[WorstCase],
             unproved: Sequence[str]) -> Analysis:
    """All results as one record with findings and verdict."""
    largest = problem.config({"num_seqs": request.space.dimension("num_seqs").high})
    findings, verdict = conclude(problem.heuristic.name, samples, held_out, regions, explained.attributions,
                                 explained.witnesses, tuning, request.threshold, request.benchmarks, str(out),
                                 profile.tick, worst)
    exact = [item for item in samples if item.scale == "exact" and item.origin == "random"]
    bound = problem.bound(problem.heuristic, {"num_seqs": largest.max_num_seqs})
    counts = {"operating, search": sum(item.scale == "operating" for item in samples),
              "operating, held-out": len(held_out), "exact": sum(item.scale == "exact" for item in samples)}
    bad = {"operating": wilson(sum(item.relative_gap >= request.threshold for item in held_out), len(held_out)),
           "exact": wilson(sum(item.relative_gap >= request.threshold for item in exact), len(exact))}
    return Analysis(
        problem.heuristic.name, {name: str(value) for name, value in bound.values.items()},
        policy_lines(problem.heuristic.policy), request.benchmarks, request.objective, profile.tick, request.threshold,
        Resources(largest.max_num_seqs, largest.batch_max), request.space.dimensions, provenance(request, profile),
        tuple(traces), counts, bad, tuple(regions), explained.attributions, explained.witnesses, tuning, findings,
        verdict, (*limits_of(request, samples), *unproved, *trace_limits(request, problem, largest)),
        tuple(worst))


def trace_limits(request: AnalysisRequest, problem: OperatingProblem, largest: ServerConfig) -> tuple[str, ...]:
    """What the workloads of a trace are, and what they cannot show."""
    if not isinstance(problem.source, TraceSource):
        return ()
    load = problem.source.recorded_load(problem.profile, largest.batch_max)
    speed = "all its requests arrive at once: the load dimension has no effect" if load is None else \
        f"at its own speed it offers load {load:.3g} at N = {largest.max_num_seqs}"
    return (f"operating scale: windows of a trace, not generated workloads: {request.trace}",
            f"the trace has {len(problem.source.trace.requests)} requests; {speed}",
            f"a workload is {BLOCKS} blocks of consecutive requests, {REQUESTS_PER_PLACE} N in all; held-out workloads "
            "are other blocks of the same trace: they say how settings do on such traffic, not on other traffic")


def policy_lines(policy: Policy) -> tuple[str, ...]:
    """The policy's table as text, a line each."""
    console = Console(file=StringIO(), width=110, highlight=False)
    with console.capture() as capture:
        console.print(policy_view(policy))
    return tuple(line.rstrip() for line in capture.get().rstrip().split("\n"))


def provenance(request: AnalysisRequest, profile: CostProfile) -> Provenance:
    """How to reproduce this analysis."""
    versions = {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}
    return Provenance(request.command, request.seed, datetime.now(UTC).isoformat(timespec="seconds"), versions,
                      profile.name, profile.meta.origin, profile.meta.device)


def operating_limits(request: AnalysisRequest) -> list[str]:
    """What the operating scale leaves out, in words."""
    beams = f"{COUNTED_RUNS} runs of reference policies per workload" if request.evaluations is not None else \
        f"{request.budget * interval_share(request):.3g} s for all of them"
    found = ["clairvoyant at operating scale: no optimum is known; its gap is an interval, for the worst input of each "
             f"region and {HELD_OUT_ASKED if request.clairvoyant else HELD_OUT} held-out inputs; beams were bounded by "
             f"{beams}"]
    if BEST_PARAMS in request.benchmarks:
        found.append(f"best-params: the best of at most {DESIGN} settings at each input, in hindsight; a finer search "
                     "may find better ones")
    if request.objective == "misses":
        found.append("exact scale: analysed for total completion, because the exact search has no proof for misses; "
                     "missed due dates are counted at operating scale only, gaps per request")
    fixed = {name: value for name, value in FIXED.items() if name not in request.space.names}
    if fixed and not request.trace:
        found.append("operating scale, dimensions that do not vary: "
                     + ", ".join(f"{name} = {value:g}" for name, value in fixed.items()))
    return found


def limits_of(request: AnalysisRequest, samples: Sequence[Sample]) -> tuple[str, ...]:
    """What was bounded, by how much."""
    open_cases = sum(not item.proved for item in samples if item.scale == "exact")
    total = sum(item.scale == "exact" for item in samples)
    found = [f"exact scale: {request.requests} requests x {request.tokens} tokens, no prompts; "
             f"{total - open_cases} of {total} optima proved, the others are intervals; methods that seek large gaps "
             "may leave requests and tokens out",
             f"operating scale: {request.replicates} workloads per point",
             f"attribution at operating scale evaluates alternatives for the {EXAMINED_STEPS} costliest steps of a "
             "run; the others are listed as unexamined",
             f"clusters: at most {PER_REGION} workloads of each region are attributed"
             + ("" if request.evaluations is not None else f", as many as {request.budget * CLUSTER_SHARE:.3g} s allow")
             + "; the number is stated with each cluster",
             f"heat map of decisions: at most {HEAT_SAMPLES} losing workloads that random search drew"
             + ("" if request.evaluations is not None else f", as many as {request.budget * HEAT_SHARE:.3g} s allow")]
    found.append("tuning: the settings tried, the training points and the size of the no-regression certificate are "
                 "stated with it" + ("" if request.evaluations is not None else f"; bounded by "
                 f"{request.budget * TUNING_SHARE:.3g} s of search, {INDEPENDENT:.0%} of that for the independent "
                 f"search behind the share recovered (ten times the search: xplain tune --independent 10), "
                 f"{request.budget * CERTIFICATE_SHARE:.3g} s of proof"))
    found += operating_limits(request)
    if request.evaluations is None:
        found.append(f"the search was bounded by time ({request.budget:.0f} s in all): how far it gets depends on the "
                     "machine; --evaluations makes it reproducible from the seed")
    return tuple(found)
