"""Static inline SVG from Altair charts: themed by CSS variables, no script, two widths for wide and narrow pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode
from markupsafe import Markup, escape

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart
WIDE, NARROW = 860, 290
INK, MUTED, GRID, ACCENT, LOSS, GAIN = ("var(--ink)", "var(--muted)", "var(--rule)", "var(--accent)", "var(--loss)",
                                        "var(--gain)")

AXIS = {
    "labelColor": MUTED, "titleColor": INK, "gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED,
    "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelFont": "sans-serif",
    "titleFont": "sans-serif", "titlePadding": 8, "tickCount": 5, "labelOverlap": True,
}
CONFIG: dict[str, Any] = {
    "aria": False, "background": "transparent", "font": "sans-serif",
    "view": {"stroke": None}, "axis": AXIS,
    "legend": {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12,
               "titleFontWeight": "normal", "orient": "top", "symbolStrokeWidth": 2, "labelLimit": 320},
    "text": {"color": INK, "fontSize": 12},
}


@dataclass(frozen=True)
class Figure:
    """A chart for the page: `wide` and `narrow` are the same picture; `caption` says what to see."""

    wide: Markup
    narrow: Markup
    caption: str


def figure(build: Callable[[int], Chart], label: str, caption: str, key: str) -> Figure:
    """Render `build(width)` at both widths. `label` is what a screen reader says, `key` keeps ids apart."""
    # Altair would check every sample against its schema, which takes longer than drawing them.
    with debug_mode(False):
        wide, narrow = (_render(build(width), label, f"{key}-{width}") for width in (WIDE, NARROW))
    return Figure(wide, narrow, caption)


def _render(chart: Chart, label: str, key: str) -> Markup:
    spec = chart.to_dict(validate=False) | {"config": CONFIG}
    text = vl_convert.vegalite_to_svg(spec)
    # The renderer counts its ids through all charts of a process: count anew, so that a page can be compared.
    numbers = {found: k for k, found in enumerate(dict.fromkeys(re.findall(r'id="((?:clip|gradient_)\d+)"', text)))}
    text = re.sub(r'(id="|url\(#)((?:clip|gradient_)\d+)',
                  lambda found: f"{found[1]}{key}-{numbers[found[2]]}", text)
    text = re.sub(r'<rect width="\d+" height="\d+" fill="transparent"/>', "", text, count=1)
    # Empty groups of the renderer say nothing and are half of the file.
    text = re.sub(r'<path class="(?:background|foreground)"[^>]*\bd="(?:M0,0h0v0h0Z)?"[^>]*/>', "", text)
    text = re.sub(r' (?:class="[^"]*"|pointer-events="none"|aria-hidden="true"|font-family="sans-serif")', "", text)
    head = f'<svg role="img" aria-label="{escape(label)}" '
    # The renderer escapes the data it draws; nothing else of it comes from outside.
    return Markup(text.replace("<svg ", head, 1))
