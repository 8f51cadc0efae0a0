"""How a problem's numbers read: gaps as shares or in units, objectives with their unit."""

from __future__ import annotations

from collections.abc import Callable

from xplain.problems.interface import Problem
from xplain.report.units import GLUE, MINUS, percent, significant
from xplain.report.units import threshold as threshold_percent
from xplain.studies.case import Case
from xplain.studies.guarded import Guarded
from xplain.studies.record import Subject


def subject_of(problem: Problem | Guarded) -> Subject:
    """What a problem says of itself; a Problem that is no Case gets plain words."""
    inner = problem.problem if isinstance(problem, Guarded) else problem
    if not isinstance(inner, Case):
        return Subject(type(inner).__name__, "the heuristic", "the benchmark", distribution="as its `draw` draws",
                       infeasible="as its `evaluate` says")
    drawn = inner.distribution or ("independent; uniform, log-uniform where a dimension says so"
                                   if len(inner.dimensions) > 1 else "uniform")
    return Subject(inner.title, inner.heuristic_name, inner.benchmark_name, inner.objective, inner.unit,
                    inner.resolution, inner.gap_unit, inner.gap_of, drawn, inner.infeasible, inner.proof)


class Words:
    """Formats numbers of one subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def gap(self, value: float, *, signed: bool = False) -> str:
        """A relative gap as measured: "12 %", "+1 bin"."""
        unit = self.subject.gap_unit
        if not unit:
            return percent(value, signed=signed)
        sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
        return f"{sign}{self._counted(abs(value), unit, significant)}"

    def threshold(self, value: float) -> str:
        """A relative gap as set: "10 %", "1 bin"."""
        unit = self.subject.gap_unit
        return self._counted(value, unit, lambda each: f"{each:g}") if unit else threshold_percent(value)

    def of(self) -> str:
        """What a gap is a share of, as in "10 % of total demand"; empty for units and for the benchmark."""
        plain = self.subject.gap_unit or self.subject.gap_of == "the benchmark"
        return "" if plain else f" of {self.subject.gap_of}"

    def objective(self, ticks: int) -> str:
        """An objective or an absolute gap, with its unit."""
        value = ticks * self.subject.resolution
        text = f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
        return f"{text}{GLUE}{self._unit(value, self.subject.unit)}" if self.subject.unit else text

    def _counted(self, value: float, unit: str, text: Callable[[float], str]) -> str:
        shown = f"{int(value):,}" if value == int(value) else text(value)
        return f"{shown}{GLUE}{self._unit(value, unit)}"

    def _unit(self, value: float, unit: str) -> str:
        return unit.removesuffix("s") if value == 1 and len(unit) > 1 else unit
