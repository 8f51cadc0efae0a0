"""What the page shows, computed from the records: figures, tables, headline numbers. No markup here but charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from drex_runtime.records.ticks import Tick
from xplain.explain.sentences import cause_text
from xplain.records import Analysis, Attribution, Evidence, Sample
from xplain.report.cluster_view import ClusterView, WitnessView, cluster_view, witness_view
from xplain.report.heat_view import HeatView, heat_view
from xplain.report.methods import MethodRow, method_rows
from xplain.report.plots import before_after, search_curves
from xplain.report.policy_text import RuleTable, rule_tables
from xplain.report.proofs import ProofView, proof_views
from xplain.report.region_plots import Plot, meaning, region_plots, unit
from xplain.report.svg import Figure
from xplain.report.timeline import patterns
from xplain.report.units import count, duration, interval, percent, threshold


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    label: str
    value: str
    detail: str
    evidence: Evidence | None


@dataclass(frozen=True)
class CauseRow:
    """A line of a regret account; `left` and `width` place its bar, in per cent of the bar's column."""

    text: str
    example: str
    parameters: str
    ticks: int
    decisions: int
    share: float
    left: float
    width: float


@dataclass(frozen=True)
class Account:
    """Where the gap of one run went. `zero` = position of the zero line in per cent."""

    attribution: Attribution
    title: str
    rows: tuple[CauseRow, ...]
    zero: float
    total: int
    closes: bool
    reference: str
    evidence: Evidence


@dataclass(frozen=True)
class Worst:
    """The worst input found at a scale."""

    scale: str
    sample: Sample
    inputs: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class View:
    """Everything the template needs besides the analysis itself."""

    severity: str
    facts: tuple[Fact, ...]
    witnesses: tuple[WitnessView, ...]
    worst: tuple[Worst, ...]
    proofs: tuple[ProofView, ...]
    plots: tuple[Plot, ...]
    accounts: tuple[Account, ...]
    tuning: Figure | None
    curves: Figure | None
    methods: tuple[MethodRow, ...]
    rules: tuple[RuleTable, ...]
    clusters: tuple[ClusterView, ...]
    heat: HeatView | None
    patterns: Markup
    scaled: bool = True


def view(analysis: Analysis, samples: Sequence[Sample], tick: Tick) -> View:
    """Compute the page's contents."""
    tuning = analysis.tuning
    severities = {finding.severity for finding in analysis.findings}
    return View(
        next((name for name in ("loss", "unknown", "none") if name in severities), "unknown"),
        tuple(_facts(analysis, samples)),
        tuple(witness_view(witness, tick) for witness in analysis.witnesses),
        tuple(_worst(analysis, samples)), tuple(proof_views(analysis.worst_cases, tick)),
        tuple(region_plots(samples, analysis.regions, analysis.dimensions, analysis.threshold,
                           list(dict.fromkeys(["operating", *(region.scale for region in analysis.regions)])))),
        tuple(_account(attribution) for attribution in analysis.attributions),
        before_after(tuning.comparisons) if tuning and tuning.comparisons else None,
        search_curves(analysis.traces) if any(trace.improvements for trace in analysis.traces) else None,
        tuple(method_rows(analysis.traces)),
        tuple(rule_tables(analysis.policy_table)),
        tuple(cluster_view(item, tick) for item in analysis.clusters),
        None if analysis.heat_map is None else heat_view("small workloads that lose", analysis.heat_map),
        patterns())


def _facts(analysis: Analysis, samples: Sequence[Sample]) -> Iterable[Fact]:
    for scale, rate in analysis.bad_share.items():
        if rate.of:
            what = "small workloads" if scale == "exact" else "workloads"
            yield Fact(f"of {what} lose at least {threshold(analysis.threshold)}", percent(rate.value),
                       f"{interval(rate)}, {count(rate.of)} unbiased samples, {scale} scale", Evidence.STATISTICAL)
    operating = [sample for sample in samples if sample.scale == "operating"]
    if operating:
        worst = max(operating, key=lambda sample: sample.relative_gap)
        yield Fact("largest gap found", percent(worst.relative_gap, signed=True),
                   f"operating scale, against the best of {', '.join(analysis.benchmarks)}", Evidence.SIMULATED)
    proved = [witness for witness in analysis.witnesses if witness.proved]
    if proved:
        worst_case = max(proved, key=lambda witness: witness.relative_gap)
        yield Fact("over the proved optimum", percent(worst_case.relative_gap, signed=True),
                   f"on a workload of {len(worst_case.depths)} requests", Evidence.PROVED)
    if analysis.tuning and analysis.tuning.comparisons:
        whole = analysis.tuning.comparisons[0]
        yield Fact("held-out mean gap, tuned", percent(whole.after, signed=True),
                   f"before: {percent(whole.before, signed=True)}; {whole.slice}", Evidence.SIMULATED)


def _worst(analysis: Analysis, samples: Sequence[Sample]) -> Iterable[Worst]:
    for scale in ("operating", "exact"):
        own = [sample for sample in samples if sample.scale == scale]
        if own:
            sample = max(own, key=lambda sample: sample.relative_gap)
            known = {dimension.name: dimension for dimension in analysis.dimensions}
            shown = sample.point if scale == "operating" else sample.features
            yield Worst(scale, sample, tuple((meaning(known, name), value, unit(known, name))
                                             for name, value in shown.items()))


def _account(attribution: Attribution) -> Account:
    """Causes, the costliest first, with bars on one axis that holds zero."""
    causes = sorted(attribution.causes, key=lambda cause: -cause.ticks)
    low, high = min([0, *(cause.ticks for cause in causes)]), max([1, *(cause.ticks for cause in causes)])
    span = high - low
    rows = tuple(CauseRow(cause_text(replace(cause, example="")), cause.example, ", ".join(cause.parameters),
                          cause.ticks, cause.count, cause.share, 100 * (min(cause.ticks, 0) - low) / span,
                          100 * abs(cause.ticks) / span) for cause in causes)
    clairvoyant = attribution.reference == "clairvoyant"
    total = sum(cause.ticks for cause in causes)
    where = attribution.region if " " in attribution.region else f"worst input in region {attribution.region}"
    reference = "the clairvoyant optimum" if clairvoyant else attribution.reference.replace("policy:", "the policy ")
    return Account(attribution, where, rows, -100 * low / span, total, total == attribution.gap, reference,
                   Evidence.PROVED if clairvoyant and attribution.exact else Evidence.SIMULATED)


def objective_text(analysis: Analysis, ticks: int, tick: Tick) -> str:
    """An objective's value in human units (misses are a count)."""
    return count(ticks) if analysis.objective == "misses" else duration(ticks, tick)
