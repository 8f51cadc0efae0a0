"""The analysis of any Problem, stage by stage: search -> held-out -> search outside of regions -> regions -> witnesses
-> conclusion -> run folder.

Every stage is a function from records to a record, kept as it finishes (`xplain.stages`). Source: analyzer design.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from xplain.heat_map.score import heat_map
from xplain.records import Provenance, Rate, Region, Sample
from xplain.regions import RegionSearch, find_regions_with_evidence, wilson, with_linear
from xplain.report.page import write_study_report
from xplain.run_folder import new_run_folder, save_samples, save_study
from xplain.search import Budget, SearchOutcome, portfolio
from xplain.stages import kept_stages, request_key
from xplain.studies.conclude import conclude
from xplain.studies.guarded import Guarded
from xplain.studies.outside import OUTSIDE, kept_back, search_outside, together
from xplain.studies.record import InputWitness, RegionHeat, StudyAnalysis
from xplain.studies.request import StudyRequest, save_study_request
from xplain.studies.sampling import Usable, fresh_samples, usable
from xplain.studies.witness import find_witness
from xplain.studies.words import Words, subject_of

# Shares of a budget in seconds; what is left goes to regions and the report.
SEARCH_SHARE, HELD_OUT_SHARE, WITNESS_SHARE, HEAT_SHARE = 0.5, 0.2, 0.1, 0.1
HEAT_MAPS, HEAT_SAMPLES = 3, 3000
TIMED = 10  # inputs by which the cost of a flow is judged
WITNESS_INDEX = 10_000_000  # samples of the witness search are counted from here
VERSIONS = ("drex-xplain", "numpy", "scikit-learn", "optuna", "networkx")
Tell = Callable[[str], None]


def analyze_study(request: StudyRequest, problem: Guarded, out: Path, tell: Tell = lambda _: None) -> StudyAnalysis:
    """Run all stages on `problem` and write the run folder `out`. Raises InputError if `out` exists, or for answers of
    the problem that are none."""
    begun = time.monotonic()
    threshold = problem.threshold if request.threshold is None else request.threshold
    with new_run_folder(out) as folder, kept_stages(out, request_key(request), tell) as stages:
        save_study_request(folder / "request.json", request)
        tell("first evaluations")
        problem.check_repeatable()
        budget, round_budget = kept_back(_search_budget(request))
        found = stages.run("search", SearchOutcome, lambda: search(problem, request, budget, tell))
        drawn = stages.run("held-out", tuple[Sample, ...], lambda: fresh_samples(
            problem, request.seed, request.held_out, _seconds(request, HELD_OUT_SHARE), request.jobs, tell))
        if round_budget is not None:
            each, before = round_budget, found
            found = together(found, stages.run("search-outside", SearchOutcome, lambda: search_outside(
                problem, before, drawn, threshold, request.seed, each, request.jobs, tell)))
        kept = usable(found.samples, drawn)
        looked = stages.run("regions", RegionSearch, lambda: regions_of(problem, kept, threshold, request, tell))
        regions = looked.regions
        kept = replace(kept, samples=with_linear(kept.samples, looked.linear),
                       held_out=with_linear(kept.held_out, looked.linear))
        heat_maps = stages.run("heat-maps", tuple[RegionHeat, ...], lambda: heat_maps_of(
            problem, kept, regions, threshold, request, tell))
        witnesses = stages.run("witnesses", tuple[InputWitness, ...], lambda: witnesses_of(
            problem, kept, regions, threshold, request, tell))
        tell("writing the report")
        analysis = assemble(request, problem, threshold, found, drawn, kept, regions, witnesses, heat_maps)
        analysis = replace(analysis, evidence=looked.evidence, unions=looked.unions, linear=looked.linear,
                           sizes=looked.sizes)
        took = time.monotonic() - begun
        analysis = replace(analysis, provenance=replace(analysis.provenance, seconds=took))
        samples = (*found.samples, *drawn)
        save_study(folder, analysis)
        save_samples(folder, samples)
        write_study_report(folder / "report.html", analysis, samples)
    return analysis


def _search_budget(request: StudyRequest) -> Budget:
    return Budget(request.evaluations, None if request.evaluations else request.budget * SEARCH_SHARE)


def search(problem: Guarded, request: StudyRequest, budget: Budget, tell: Tell) -> SearchOutcome:
    """Random inputs and those of methods that seek large gaps."""
    words = Words(subject_of(problem))

    def progress(method: str, spent: float, evaluations: int, best: float) -> None:
        tell(f"search, {method} {spent:.0%}: {evaluations} inputs, worst gap {words.gap(best, signed=True)}")

    return portfolio(problem, budget, request.seed, jobs=request.jobs, progress=progress)


def regions_of(problem: Guarded, kept: Usable, threshold: float, request: StudyRequest, tell: Tell,
               ) -> RegionSearch:
    """Regions of feasible inputs; their sentences say gaps as the problem counts them."""
    if not kept.samples or not kept.held_out:
        return RegionSearch((), (), (), (), (), 0, "no feasible inputs to look at")
    tell(f"regions: {len(kept.samples)} searched and {len(kept.held_out)} fresh inputs")
    subject = subject_of(problem)
    words = Words(subject)
    found = find_regions_with_evidence(
        problem, kept.samples, kept.held_out, threshold, request.seed, subject=subject.heuristic)

    def sentence(region: Region) -> str:
        verb = "loses" if region.mean_gap >= 0 else "gains"
        return (f"{region.sentence.rpartition(': ')[0]}: {subject.heuristic} {verb} {words.gap(abs(region.mean_gap))}"
                f"{words.of()} on average")

    return replace(found, regions=tuple(replace(region, sentence=sentence(region)) for region in found.regions))


def heat_maps_of(problem: Guarded, kept: Usable, regions: Sequence[Region], threshold: float, request: StudyRequest,
                 tell: Tell) -> tuple[RegionHeat, ...]:
    """Where both sides' flows part on bad inputs of the declared distribution: of each significant region, or of all
    inputs if there is none. In a budget of seconds as many inputs as fit, by the time that the first ones take."""
    if not problem.has_flows:
        return ()
    subject = subject_of(problem)
    bad = [sample for sample in (*kept.held_out, *kept.samples) if sample.unbiased and sample.relative_gap >= threshold]
    chosen = [region for region in regions if region.significant][:HEAT_MAPS]
    groups = [(region.name, [sample for sample in bad if region.holds(sample.features)]) for region in chosen] or \
        [("all inputs", bad)]
    share = _seconds(request, HEAT_SHARE)
    found = []
    for where, samples in groups:
        tell(f"heat map of {where}: {min(len(samples), HEAT_SAMPLES)} bad inputs")
        points = [sample.point for sample in samples[:HEAT_SAMPLES]]
        if share is not None and len(points) > TIMED:
            begun = time.monotonic()
            for point in points[:TIMED]:
                problem.flows(point)
            each = (time.monotonic() - begun) / TIMED
            points = points[:max(TIMED, int(share / len(groups) / max(each, 1e-9)))]
        if points:
            found.append(RegionHeat(where, heat_map(problem, points, heuristic=subject.heuristic,
                                                    benchmark=subject.benchmark, unit=subject.unit)))
    return tuple(found)


def witnesses_of(problem: Guarded, kept: Usable, regions: Sequence[Region], threshold: float, request: StudyRequest,
                 tell: Tell) -> tuple[InputWitness, ...]:
    """One witness for the worst input of all and one for the worst of each region."""
    everything = (*kept.samples, *kept.held_out)
    if not everything:
        return ()
    worst = max(everything, key=lambda sample: sample.relative_gap)
    by_index = {sample.index: sample for sample in kept.samples}
    targets = [(region.name, by_index[region.worst]) for region in regions if region.worst in by_index]
    if all(sample.relative_gap < worst.relative_gap for _, sample in targets) and worst.gap > 0:
        targets.insert(0, ("all inputs", worst))
    share = _seconds(request, WITNESS_SHARE)
    found = []
    for number, (where, sample) in enumerate(targets):
        tell(f"witness of {where}: simplifying, then seeking the nearest input without the gap")
        found.append(find_witness(problem, sample, everything, threshold, where,
                                  None if share is None else share / len(targets), WITNESS_INDEX * (1 + number)))
    return tuple(found)


def assemble(request: StudyRequest, problem: Guarded, threshold: float, found: SearchOutcome, drawn: Sequence[Sample],
             kept: Usable, regions: Sequence[Region], witnesses: Sequence[InputWitness],
             heat_maps: Sequence[RegionHeat]) -> StudyAnalysis:
    """All results as one record with findings and verdict."""
    subject = subject_of(problem)
    infeasible = wilson(sum(not sample.feasible for sample in drawn), len(drawn))
    bad = wilson(sum(sample.relative_gap >= threshold for sample in kept.held_out), len(kept.held_out))
    names = dict.fromkeys([*(dimension.name for dimension in problem.dimensions),
                           *(kept.samples[0].features if kept.samples else ())])
    meanings = {name: problem.describe(name) for name in names}
    worst = max((*kept.samples, *kept.held_out), key=lambda sample: sample.relative_gap, default=None)
    again = f"{request.command} --seed {request.seed + 1}" if request.command else "another --seed"
    findings, verdict = conclude(subject, regions, kept.held_out, worst, witnesses, bad, infeasible, threshold,
                                 meanings, again, heat_maps)
    counts = {"search": len(found.samples), "held-out": len(drawn),
              "witnesses": sum(witness.evaluations for witness in witnesses)}
    return StudyAnalysis(subject, dict(request.settings), threshold, problem.dimensions, provenance(request),
                         found.traces, counts, infeasible, bad, tuple(regions), tuple(witnesses), findings, verdict,
                         meanings, limits_of(request, subject.infeasible, found, drawn, kept, infeasible),
                         tuple(heat_maps))


def limits_of(request: StudyRequest, meaning: str, found: SearchOutcome, drawn: Sequence[Sample], kept: Usable,
              infeasible: Rate) -> tuple[str, ...]:
    """What was bounded, by how much, and what was left out."""
    said = []
    if infeasible.value > 0:
        said.append(f"infeasible: {infeasible.value:.1%} of fresh draws ({round(infeasible.value * infeasible.of)} of "
                    f"{infeasible.of}), left out of every rate, region and witness: {meaning}")
    if len(kept.held_out) < request.held_out:
        said.append(f"{len(kept.held_out)} fresh feasible inputs instead of {request.held_out}: "
                    + ("drawing stopped after " + f"{len(drawn)} draws" if request.evaluations is not None
                       else "the budget or the number of draws ran out"))
    for name, bad in kept.dropped.items():
        said.append(f"feature {name} is no finite number in {bad} of {kept.of} samples: regions do not use it")
    outside = sum(trace.evaluations for trace in found.traces if trace.method.endswith(OUTSIDE))
    if outside:
        said.append(f"{outside} of {len(found.samples)} inputs of the search were sought outside of the regions "
                    "known by then")
    unproved = sum(not sample.proved for sample in (*kept.samples, *kept.held_out))
    if unproved:
        said.append(f"the benchmark is an interval on {unproved} of {kept.of} inputs: gaps are counted from its upper "
                    "end, so they are certain and may be larger")
    said.append("witnesses are found greedily: simple and near, not proved the simplest or the nearest")
    if not found.reproducible:
        said.append(f"bounded by time ({request.budget:.0f} s in all): how far it gets depends on the machine; "
                    "--evaluations makes it reproducible from the seed")
    return tuple(said)


def provenance(request: StudyRequest) -> Provenance:
    """How to reproduce this analysis."""
    versions = {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}
    return Provenance(request.command, request.seed, datetime.now(UTC).isoformat(timespec="seconds"), versions, "", "",
                      "")


def _seconds(request: StudyRequest, share: float) -> float | None:
    return None if request.evaluations is not None else request.budget * share
