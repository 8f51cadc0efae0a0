"""What the page of a case study shows, computed from its records. No markup here but charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xplain.records import Evidence, Sample
from xplain.regions import with_linear
from xplain.report.heat_view import HeatView, heat_view
from xplain.report.methods import MethodRow, method_rows
from xplain.report.plots import PERCENT, search_curves
from xplain.report.region_plots import Plot, region_plots
from xplain.report.svg import Figure
from xplain.report.units import count, interval, percent
from xplain.report.view import Fact
from xplain.search.incumbents import place_of
from xplain.studies.record import FlowRow, InputWitness, StudyAnalysis
from xplain.studies.words import Words

WORST_SHOWN = 5
MANY_FLOWS = 12  # from here on edges on which both sides do the same are left out
NUMBER = "format(datum.value, '~g')"


@dataclass(frozen=True)
class InputRow:
    """A dimension of a witness, and its value in the nearest input without the gap."""

    meaning: str
    value: str
    contrast: str
    changed: bool


@dataclass(frozen=True)
class EdgeRow:
    """An edge; `left` and `right`: lengths of both sides' bars in per cent of the largest flow."""

    tail: str
    head: str
    heuristic: float
    benchmark: float
    left: float
    right: float
    differs: str


@dataclass(frozen=True)
class WitnessTable:
    """A witness as tables."""

    witness: InputWitness
    rows: tuple[InputRow, ...]
    flows: tuple[EdgeRow, ...]
    hidden_flows: int


@dataclass(frozen=True)
class StudyView:
    """Everything the template needs besides the analysis itself."""

    severity: str
    facts: tuple[Fact, ...]
    witnesses: tuple[WitnessTable, ...]
    worst: tuple[Sample, ...]
    plots: tuple[Plot, ...]
    curves: Figure | None
    methods: tuple[MethodRow, ...]
    heat_maps: tuple[HeatView, ...]
    scaled: bool = False


def study_view(analysis: StudyAnalysis, samples: Sequence[Sample]) -> StudyView:
    """Compute the page's contents."""
    words = Words(analysis.subject)
    feasible = with_linear([sample for sample in samples if sample.feasible], analysis.linear)
    severities = {finding.severity for finding in analysis.findings}
    return StudyView(
        next((name for name in ("loss", "unknown", "none") if name in severities), "unknown"),
        tuple(_facts(analysis, words, feasible)), tuple(_table(analysis, item) for item in analysis.witnesses),
        tuple(_worst(feasible)),
        tuple(region_plots(feasible, analysis.regions, analysis.dimensions, analysis.threshold,
                           list(dict.fromkeys(sample.scale for sample in feasible)), meanings=analysis.meanings,
                           scaled=False, gap=words.threshold)),
        search_curves(analysis.traces, NUMBER if analysis.subject.gap_unit else PERCENT, scaled=False)
        if any(trace.improvements for trace in analysis.traces) and feasible else None,
        tuple(method_rows(analysis.traces)),
        tuple(heat_view(item.where, item.heat) for item in analysis.heat_maps))


def _facts(analysis: StudyAnalysis, words: Words, feasible: Sequence[Sample]) -> Iterable[Fact]:
    if analysis.bad_share.of:
        yield Fact(f"of inputs lose at least {words.threshold(analysis.threshold)}", percent(analysis.bad_share.value),
                   f"{interval(analysis.bad_share)}, {count(analysis.bad_share.of)} fresh inputs", Evidence.STATISTICAL)
    if feasible:
        worst = max(feasible, key=lambda sample: sample.relative_gap)
        yield Fact("largest gap found", words.gap(worst.relative_gap, signed=True),
                   f"{analysis.subject.objective} {words.objective(worst.heuristic)}, "
                   f"{analysis.subject.benchmark} {words.objective(worst.upper)}",
                   Evidence.PROVED if worst.proved and analysis.subject.proof else Evidence.SIMULATED)
    significant = [region for region in analysis.regions if region.significant]
    if significant:
        first = significant[0]
        yield Fact(f"of region {first.name} is bad", percent(first.precision.value),
                   f"{interval(first.precision)}; it holds {percent(first.coverage.value)} of what is bad",
                   Evidence.STATISTICAL)
    if len(analysis.unions) > 1:
        whole = analysis.unions[-1]
        yield Fact(f"of what is bad lies in the {whole.regions} regions", percent(whole.coverage.value),
                   f"{interval(whole.coverage)}; {percent(whole.precision.value)} of inputs there are bad",
                   Evidence.STATISTICAL)
    if analysis.infeasible_share.value > 0:
        yield Fact("of draws are infeasible", percent(analysis.infeasible_share.value),
                   f"{interval(analysis.infeasible_share)}, {count(analysis.infeasible_share.of)} draws",
                   Evidence.STATISTICAL)


def _table(analysis: StudyAnalysis, witness: InputWitness) -> WitnessTable:
    changes = {change.dimension: change for change in witness.contrast}

    def row(name: str, value: float) -> InputRow:
        meaning, unit = analysis.meanings.get(name, (name, ""))
        tail = f" {unit}" if unit and unit not in meaning.split() else ""
        other = changes.get(name)
        return InputRow(meaning, f"{value:,.6g}{tail}", f"{other.after:,.6g}{tail}" if other else "", other is not None)

    largest = max((max(abs(item.heuristic), abs(item.benchmark)) for item in witness.flows), default=1.0) or 1.0
    edges = [_edge(item, largest) for item in witness.flows]
    shown = [edge for edge in edges if edge.differs] if len(edges) > MANY_FLOWS else edges
    return WitnessTable(witness, tuple(row(name, value) for name, value in witness.point.items()), tuple(shown),
                        len(edges) - len(shown))


def _edge(item: FlowRow, largest: float) -> EdgeRow:
    differs = "" if item.heuristic == item.benchmark else "must" if item.certain else "may"
    return EdgeRow(item.tail, item.head, item.heuristic, item.benchmark, 100 * abs(item.heuristic) / largest,
                   100 * abs(item.benchmark) / largest, differs)


def _worst(feasible: Sequence[Sample]) -> Iterable[Sample]:
    """The largest gaps, each input once."""
    seen = set[tuple[float, ...]]()
    for sample in sorted(feasible, key=lambda item: (-item.relative_gap, item.index)):
        if sample.relative_gap <= 0 or len(seen) == WORST_SHOWN:
            return
        if place_of(sample.point) not in seen:
            seen.add(place_of(sample.point))
            yield sample
