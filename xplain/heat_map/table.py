"""The numbers behind the picture, for people: every edge that was used, the strongest first."""

from __future__ import annotations

from markupsafe import Markup, escape

from xplain.records.heat_map import EdgeHeat, HeatMap, Mean
from xplain.report.units import MINUS, count, percent, significant

TO = "to"


def shown(heat: HeatMap, most: int | None = None) -> list[EdgeHeat]:
    """Used edges, those first on which the sides differ most, then those used most; at most `most`."""
    used = [edge for edge in heat.edges if edge.used]
    used.sort(key=lambda edge: (-edge.strength, -max(edge.heuristic, edge.benchmark)))
    return used[:most]


def heat_map_table(heat: HeatMap) -> list[dict[str, str]]:
    """A row per used edge, all columns as text; the keys are the headings. Edges nobody uses are left out."""
    unit = f" ({heat.unit})" if heat.unit else ""
    return [{
        "from": edge.tail, "to": edge.head,
        "score": signed(edge.score.value, 2), "95 %": _interval(edge.score, 2),
        f"only {heat.benchmark}": percent(edge.only_benchmark.value),
        f"only {heat.heuristic}": percent(edge.only_heuristic.value),
        "both": percent(edge.both.value), "neither": percent(edge.neither.value),
        f"mean of {heat.heuristic}{unit}": significant(edge.heuristic),
        f"mean of {heat.benchmark}{unit}": significant(edge.benchmark),
        f"difference{unit}": signed(edge.difference.value), "its 95 %": _interval(edge.difference),
        "differs": percent(edge.differs.value), "must differ": percent(edge.must.value),
    } for edge in shown(heat)]


def heat_map_html(heat: HeatMap) -> Markup:
    """The table as HTML in the report's form, with a caption."""
    rows = heat_map_table(heat)
    unused = sum(not edge.used for edge in heat.edges)
    caption = f"{count(heat.counted)} samples"
    if heat.infeasible:
        caption += f", {count(heat.infeasible)} more without flows"
    if unused:
        caption += f"; {count(unused)} edges that nobody used are left out"
    if not rows:
        return Markup(f'<p class="empty">No edge was used ({escape(caption)}).</p>')
    names = list(rows[0])
    kinds = [" style=white-space:nowrap" if k < 2 else " class=num" for k in range(len(names))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, names, strict=True))
    body = "".join("<tr>" + "".join(f"<td{kind}>{escape(row[name])}</td>"
                                    for kind, name in zip(kinds, names, strict=True)) + "</tr>" for row in rows)
    return Markup(f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
                  f"<tbody>{body}</tbody></table>")


def signed(value: float, places: int | None = None, digits: int = 3) -> str:
    """+0.62, -0.40, 0: with `places` decimals, or `digits` significant digits."""
    if places is None:
        text = significant(abs(value), digits)
    else:
        text = f"{abs(value):.{places}f}"
    if not float(text.replace(",", "")):
        return "0"
    return f"{'+' if value > 0 else MINUS}{text}"


def _interval(mean: Mean, places: int | None = None) -> str:
    return f"{signed(mean.low, places)} {TO} {signed(mean.high, places)}"
