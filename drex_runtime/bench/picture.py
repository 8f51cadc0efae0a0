"""The picture of a benchmark: throughput and latency against exit rate, one line per policy."""

from __future__ import annotations

from collections.abc import Sequence as Items
from pathlib import Path
from typing import Any

import altair as alt

from drex_runtime.bench.compare import BASELINE, Row
from drex_runtime.errors import InputError
from drex_runtime.records.files import write_atomic

WIDTH, HEIGHT = 380, 280
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
COLOURS = ("#444444", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b")


def draw(rows: Items[Row], path: Path, title: str) -> None:
    """Write `path`, by its ending an SVG or PNG that needs nothing else. InputError for another ending."""
    kind = path.suffix.removeprefix(".")
    if kind not in ("svg", "png"):
        raise InputError("--plot", "file", path, "a name ending in .svg or .png")
    import vl_convert

    spec = chart(rows, title)
    write_atomic(path, vl_convert.vegalite_to_svg(spec) if kind == "svg" else vl_convert.vegalite_to_png(spec, scale=2))


def chart(rows: Items[Row], title: str) -> dict[str, Any]:
    """The chart as a Vega-Lite specification."""
    names = list(dict.fromkeys(row.policy for row in rows))
    data = alt.InlineData(values=[
        {"rate": row.exit_rate, "policy": row.policy, "throughput": row.tokens_per_second,
         "low": min(row.ratios), "high": max(row.ratios), "ratio": row.ratio, "latency": row.latency("e2e")}
        for row in rows])
    base = alt.Chart(data)
    x = alt.X("rate:Q", title="exit rate", scale=alt.Scale(nice=False, padding=10))
    look = {
        "color": alt.Color("policy:N", sort=names, title=None, legend=alt.Legend(orient="bottom"),
                           scale=alt.Scale(domain=names, range=[COLOURS[k % len(COLOURS)] for k in range(len(names))])),
        "strokeDash": alt.StrokeDash("policy:N", sort=names, title=None, scale=alt.Scale(
            domain=names, range=[DASHES[k % len(DASHES)] for k in range(len(names))]))}
    zero = alt.Scale(zero=False)

    def panel(field: str, name: str) -> alt.Chart:
        found: alt.Chart = base.mark_line(point=True).encode(
            x=x, y=alt.Y(f"{field}:Q", title=name, scale=zero), **look).properties(width=WIDTH, height=HEIGHT)
        return found

    spread = base.mark_area(opacity=0.12).encode(x=x, y=alt.Y("low:Q", scale=zero, title=""), y2="high:Q",
                                                 color=look["color"])
    ratio = alt.layer(spread, panel("ratio", f"throughput / {BASELINE} (median, range)"))
    whole = alt.hconcat(panel("throughput", "tokens per second (median)"), ratio,
                        panel("latency", "median E2E latency (ms)")).properties(title=title).configure_view(stroke=None)
    spec: dict[str, Any] = whole.to_dict()
    return spec
