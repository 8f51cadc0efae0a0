"""A heat map on a page: its picture and its table."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from xplain.heat_map.draw import heat_map_figure
from xplain.heat_map.table import heat_map_html
from xplain.records import HeatMap
from xplain.report.svg import Figure


@dataclass(frozen=True)
class HeatView:
    """A heat map with its table. `where`: the inputs it was made of, in words."""

    where: str
    figure: Figure
    table: Markup


def heat_view(where: str, heat: HeatMap) -> HeatView:
    """Draw it."""
    return HeatView(where, heat_map_figure(heat), heat_map_html(heat))
