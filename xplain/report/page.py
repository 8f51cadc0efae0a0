"""Renders an analysis as one self-contained HTML file: no network, no script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from drex_runtime.errors import InputError
from drex_runtime.records.files import write_atomic
from drex_runtime.records.ticks import Tick
from xplain.records import Analysis, Evidence, Sample
from xplain.report import units
from xplain.report.study_view import study_view
from xplain.report.view import objective_text, view
from xplain.studies.record import StudyAnalysis
from xplain.studies.words import Words

OBJECTIVES = {"total-completion": "total completion time", "makespan": "makespan", "misses": "missed due dates"}
COMMON = (("search", "Search"), ("limits", "Limits"), ("reproduce", "Reproduce"))
SECTIONS = (("findings", "Findings"), ("worst", "Worst case"), ("regions", "Regions"), ("causes", "Causes"),
            ("clusters", "Clusters"), ("flows", "Decisions"), ("tuning", "Tuning"), ("policy", "Policy"), *COMMON)
STUDY_SECTIONS = (("findings", "Findings"), ("worst", "Worst inputs"), ("regions", "Regions"),
                  ("flows", "Flows"), ("problem", "Problem"),
                  *COMMON)


def render_report(analysis: Analysis, samples: Sequence[Sample]) -> str:
    """The whole page of a policy. Raises InputError if the analysis names a tick that does not exist."""
    tick = _tick(analysis)
    filters: dict[str, Callable[..., str]] = {
        "duration": partial(units.duration, tick=tick), "gap": units.percent, "gap_threshold": units.threshold,
        "objective": partial(objective_text, analysis, tick=tick)}
    return _rendered("report.html", filters, analysis=analysis, view=view(analysis, samples, tick), sections=SECTIONS,
                     objective_name=OBJECTIVES.get(analysis.objective, analysis.objective))


def render_study(analysis: StudyAnalysis, samples: Sequence[Sample]) -> str:
    """The whole page of a case study."""
    words = Words(analysis.subject)
    filters = {"gap": words.gap, "gap_threshold": words.threshold, "objective": words.objective}
    return _rendered("study.html", filters, analysis=analysis, view=study_view(analysis, samples),
                     sections=STUDY_SECTIONS, of=words.of())


def write_report(path: Path, analysis: Analysis, samples: Sequence[Sample]) -> None:
    """Write `render_report` to `path`, whole or not at all. Raises InputError if it cannot be written."""
    write_atomic(path, render_report(analysis, samples))


def write_study_report(path: Path, analysis: StudyAnalysis, samples: Sequence[Sample]) -> None:
    """Write `render_study` to `path`, whole or not at all. Raises InputError if it cannot be written."""
    write_atomic(path, render_study(analysis, samples))


def _rendered(template: str, filters: dict[str, Callable[..., str]], **values: Any) -> str:
    environment = Environment(loader=PackageLoader("xplain.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=units.percent, threshold=units.threshold, interval=units.interval,
                               count=units.count, plain=units.plain, p_value=units.p_value, as_evidence=Evidence,
                               **filters)
    style, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    # The style sheet is ours; everything else is escaped.
    return environment.get_template(template).render(style=Markup(style), **values)


def _tick(analysis: Analysis) -> Tick:
    for tick in get_args(Tick):
        if tick == analysis.tick:
            return tick  # type: ignore[no-any-return]
    raise InputError("analysis", "tick", analysis.tick, f"one of {', '.join(get_args(Tick))}")
