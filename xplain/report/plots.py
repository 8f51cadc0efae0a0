"""The report's charts: samples and regions over two dimensions, before and after tuning, search curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt

from xplain.records import Comparison, Dimension, Region, Sample, SearchTrace
from xplain.report.svg import ACCENT, GAIN, INK, LOSS, MUTED, NARROW, Chart, Figure, figure
from xplain.report.units import count
from xplain.report.units import threshold as threshold_text

MAX_POINTS = 900
PERCENT = "(datum.value == 0 ? '0' : format(100 * datum.value, '+.3~g')) + ' %'"
HALO: tuple[dict[str, Any], ...] = ({"stroke": "var(--paper)", "strokeWidth": 5}, {})  # text that lies on marks
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 3])


def scatter(samples: Sequence[Sample], regions: Sequence[Region], axes: tuple[Dimension, Dimension],
            threshold: float, scale: str, gap: Callable[[float], str] = threshold_text) -> Figure:
    """Unbiased samples over two dimensions, bad ones marked, with the frames of the regions.

    `scale`: of the samples, "" where there is but one. `gap`: how a threshold reads. At most MAX_POINTS are drawn,
    evenly through the list; the caption says so.
    """
    drawn = [samples[k * len(samples) // MAX_POINTS] for k in range(MAX_POINTS)] if len(samples) > MAX_POINTS \
        else list(samples)
    bad, fine = f"gap at least {gap(threshold)}", "smaller gap"
    rows = [{"x": _value(sample, axes[0]), "y": _value(sample, axes[1]),
             "kind": bad if sample.relative_gap >= threshold else fine} for sample in drawn]
    rows.sort(key=lambda row: row["kind"] == bad)
    frames = [_frame(region, axes, rows) for region in regions]

    def build(width: int) -> Chart:
        kinds, height = [fine, bad], 280 if width == NARROW else 340
        x = alt.X("x:Q", title=_title(axes[0]), scale=_scale(axes[0], rows, "x"))
        y = alt.Y("y:Q", title=_title(axes[1]), scale=_scale(axes[1], rows, "y"))
        legend = alt.Legend(title=None, orient="top", direction="vertical" if width == NARROW else "horizontal",
                            columnPadding=30)
        points = alt.Chart(_data(rows)).mark_point(size=14 if width == NARROW else 26, strokeWidth=1.1).encode(
            x=x, y=y,
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "triangle-up"]), legend=legend,
                            sort=kinds),
            color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[MUTED, LOSS]), legend=legend, sort=kinds),
            fill=alt.Fill("kind:N", scale=alt.Scale(domain=kinds, range=["transparent", LOSS]), legend=legend,
                          sort=kinds),
            opacity=alt.Opacity("kind:N", scale=alt.Scale(domain=kinds, range=[0.55, 0.85]), legend=None))
        if not frames:
            alone: Chart = points.properties(width=width, height=height)
            return alone
        base = alt.Chart(_data(frames))
        corners = {"x": "x0:Q", "x2": "x1:Q", "y": "y0:Q", "y2": "y1:Q"}
        ground = base.mark_rect(fillOpacity=0.07, fill=ACCENT).encode(**corners)
        edge = base.mark_rect(fillOpacity=0, stroke=ACCENT, strokeWidth=2, strokeDash=[6, 3]).encode(**corners)
        names = [base.mark_text(align="left", baseline="top", dx=6, dy=6, fontWeight="bold", fontSize=14, color=INK,
                                **halo).encode(x="x0:Q", y="y1:Q", text="name:N") for halo in HALO]
        return alt.layer(ground, points, edge, *names).properties(width=width, height=height)

    left_out = "" if len(drawn) == len(samples) else f" {count(len(drawn))} of them are drawn, evenly."
    which = f"{scale} scale; " if scale else ""
    caption = (f"{count(len(samples))} samples of the declared distribution ({which}those that a method sought for "
               f"their gap are left out, they are biased).{left_out} A frame is the part of a region that these two "
               "dimensions state.")
    label = f"Scatter plot of samples over {axes[0].meaning or axes[0].name} and {axes[1].meaning or axes[1].name}"
    return figure(build, label, caption, f"scatter-{scale}" if scale else "scatter")


def _value(sample: Sample, axis: Dimension) -> float:
    return sample.features[axis.name] if axis.name in sample.features else sample.point[axis.name]


def _title(axis: Dimension) -> str:
    unit = f" ({axis.unit})" if axis.unit else ""
    return f"{axis.meaning or axis.name}{unit}" + (", log scale" if axis.log else "")


def _limits(axis: Dimension, rows: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    values = [row[key] for row in rows]
    low, high = min(axis.low, *values), max(axis.high, *values)
    if axis.log:
        return low / 1.06, high * 1.06
    margin = 0.02 * (high - low) or 0.5
    return low - margin, high + margin


def _scale(axis: Dimension, rows: Sequence[dict[str, Any]], key: str) -> alt.Scale:
    low, high = _limits(axis, rows, key)
    return alt.Scale(type="log" if axis.log else "linear", domain=[low, high], nice=False, zero=False)


def _frame(region: Region, axes: tuple[Dimension, Dimension], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The region's rectangle; where it does not bound a dimension, the edge of the plot."""
    frame: dict[str, Any] = {"name": region.name}
    for key, axis in zip(("x", "y"), axes, strict=True):
        low, high = _limits(axis, rows, key)
        for predicate in region.predicates:
            if predicate.feature == axis.name and predicate.relation == ">":
                low = max(low, predicate.bound)
            if predicate.feature == axis.name and predicate.relation == "<=":
                high = min(high, predicate.bound)
        frame[f"{key}0"], frame[f"{key}1"] = low, high
    return frame


def before_after(comparisons: Sequence[Comparison]) -> Figure:
    """Mean gap per slice of held-out workloads, before and after, the latter with its interval."""
    kinds = ["before", "after"]
    rows = [{"slice": item.slice, "kind": kind, "gap": gap} for item in comparisons
            for kind, gap in zip(kinds, (item.before, item.after), strict=True)]
    spans = [{"slice": item.slice, "before": item.before, "after": item.after, "low": item.after_low,
              "high": item.after_high} for item in comparisons]
    order = list(dict.fromkeys(item.slice for item in comparisons))

    def build(width: int) -> Chart:
        y = alt.Y("slice:N", sort=order, axis=None)
        x = alt.X("before:Q", title="mean gap to the benchmark", axis=alt.Axis(labelExpr=PERCENT))
        legend = alt.Legend(title=None, orient="top", columnPadding=30)
        zero = alt.Chart(_data([{"at": 0}])).mark_rule(color=MUTED).encode(x="at:Q")
        base = alt.Chart(_data(spans))
        way = base.mark_rule(color=MUTED, strokeWidth=1.5).encode(x=x, x2="after:Q", y=y)
        spread = base.mark_rule(color=ACCENT, strokeWidth=5, opacity=0.35).encode(x="low:Q", x2="high:Q", y=y)
        names = [base.mark_text(align="left", dy=-17, color=INK, fontSize=13, **halo).encode(
            x=alt.value(0), y=y, text="slice:N") for halo in HALO]
        points = alt.Chart(_data(rows)).mark_point(size=90, strokeWidth=2, opacity=1).encode(
            x="gap:Q", y=y,
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=legend,
                            sort=kinds),
            color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[LOSS, ACCENT]), legend=legend, sort=kinds),
            fill=alt.Fill("kind:N", scale=alt.Scale(domain=kinds, range=["var(--paper)", ACCENT]), legend=legend,
                          sort=kinds))
        return alt.layer(zero, way, spread, points, *names).properties(width=width, height=52 * len(order))

    caption = ("Held-out workloads that neither the search nor the tuner has seen. The thick line is the 95 % interval "
               "of the mean after tuning; left of zero the policy beats the benchmark.")
    return figure(build, "Mean gap before and after tuning, by slice of held-out workloads", caption, "tuning")


def search_curves(traces: Sequence[SearchTrace], label: str = PERCENT, *, scaled: bool = True) -> Figure:
    """Largest gap found so far against time, per method; each scale has its own chart, with its name if `scaled`.

    `label`: Vega expression of the axis' numbers.
    """
    rows: list[dict[str, Any]] = []
    ends = {scale: max(sum(trace.seconds for trace in traces if trace.scale == scale),
                       *(at for trace in traces if trace.scale == scale for at, _, _ in trace.improvements))
            for scale in {trace.scale for trace in traces if trace.improvements}}
    for trace in traces:
        kept = list(trace.improvements)
        if not kept:
            continue
        # A curve ends where its method stopped, not at its last improvement: those that take turns end together.
        end = max(kept[-1][0], trace.seconds if trace.method == "random" else ends[trace.scale])
        rows += [{"scale": trace.scale, "method": trace.method, "seconds": seconds, "gap": gap}
                 for seconds, _, gap in [*kept, (end, 0, kept[-1][2])]]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    scales = list(dict.fromkeys(row["scale"] for row in rows))

    def build(width: int) -> Chart:
        parts = []
        beside = len(scales) > 1 and width != NARROW
        join, each = (alt.hconcat, width // 2 - 45) if beside else (alt.vconcat, width)
        for scale in scales:
            own = [row for row in rows if row["scale"] == scale]
            legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500, columnPadding=30,
                                columns=2 if width == NARROW else len(methods))
            parts.append(alt.Chart(_data(own), title=alt.TitleParams(
                f"{scale} scale" if scaled else "", anchor="start", color=INK, fontSize=13,
                fontWeight="normal")).mark_line(
                interpolate="step-after", strokeWidth=2.2).encode(
                x=alt.X("seconds:Q", title="seconds since the search began"),
                y=alt.Y("gap:Q", title="largest gap so far", axis=alt.Axis(labelExpr=label)),
                color=alt.Color("method:N", scale=alt.Scale(domain=methods, range=_colours(len(methods))),
                                legend=legend, sort=methods),
                strokeDash=alt.StrokeDash("method:N", scale=alt.Scale(domain=methods, range=_dashes(len(methods))),
                                          legend=legend, sort=methods)).properties(width=each, height=190))
        joined: Chart = join(*parts).resolve_scale(color="shared", strokeDash="shared")
        return joined

    caption = ("Random samples come first. The other methods then take turns, and each starts and restarts from the "
               "best inputs known to all of them; a curve shows what its method found itself.")
    return figure(build, "Largest gap found against time, by search method", caption, "search")


def _colours(number: int) -> list[str]:
    return [(MUTED, ACCENT, LOSS, INK, GAIN)[k % 5] for k in range(number)]


def _dashes(number: int) -> list[list[int]]:
    return [DASHES[k % len(DASHES)] for k in range(number)]


def _data(rows: Sequence[dict[str, Any]]) -> alt.Data:
    clean = [{key: (round(value, 6) if isinstance(value, float) and math.isfinite(value) else value)
              for key, value in row.items()} for row in rows]
    return alt.Data(values=clean)  # type: ignore[no-untyped-call]
