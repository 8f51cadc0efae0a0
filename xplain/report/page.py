"""Renders an analysis as one self-contained HTML file: no network, no script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from drex_runtime.errors import InputError
from drex_runtime.records.files import write_atomic
from drex_runtime.records.ticks import Tick
from xplain.records import Analysis, Evidence, Sample
from xplain.report import units
from xplain.report.view import objective_text, view

OBJECTIVES = {"total-completion": "total completion time", "makespan": "makespan", "misses": "missed due dates"}


def render_report(analysis: Analysis, samples: Sequence[Sample]) -> str:
    """The whole page. Raises InputError if the analysis names a tick that does not exist."""
    tick = _tick(analysis)
    environment = Environment(loader=PackageLoader("xplain.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        duration=partial(units.duration, tick=tick), percent=units.percent, threshold=units.threshold,
        interval=units.interval, count=units.count, plain=units.plain, p_value=units.p_value, as_evidence=Evidence,
        objective=partial(objective_text, analysis, tick=tick))
    style, _, _ = environment.loader.get_source(environment, "report.css")  # type: ignore[union-attr]
    # The style sheet is ours; everything else is escaped.
    return environment.get_template("report.html").render(
        analysis=analysis, view=view(analysis, samples, tick), style=Markup(style),
        objective_name=OBJECTIVES.get(analysis.objective, analysis.objective))


def write_report(path: Path, analysis: Analysis, samples: Sequence[Sample]) -> None:
    """Write `render_report` to `path`, whole or not at all. Raises InputError if it cannot be written."""
    write_atomic(path, render_report(analysis, samples))


def _tick(analysis: Analysis) -> Tick:
    for tick in get_args(Tick):
        if tick == analysis.tick:
            return tick  # type: ignore[no-any-return]
    raise InputError("analysis", "tick", analysis.tick, f"one of {', '.join(get_args(Tick))}")
