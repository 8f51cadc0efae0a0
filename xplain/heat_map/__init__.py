"""Edge heat maps: where the flows of a heuristic and of its benchmark part, over many samples.

Names are looked up when they are asked for: the processes that compute flows need none of the libraries that draw.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xplain.heat_map.draw import heat_map_figure, heat_map_svg
    from xplain.heat_map.record import EdgeHeat, HeatMap, Mean
    from xplain.heat_map.score import heat_map
    from xplain.heat_map.table import heat_map_html, heat_map_table

__all__ = ["EdgeHeat", "HeatMap", "Mean", "heat_map", "heat_map_figure", "heat_map_html", "heat_map_svg",
           "heat_map_table"]

_HOMES = {"EdgeHeat": "record", "HeatMap": "record", "Mean": "record", "heat_map": "score", "heat_map_figure": "draw",
          "heat_map_html": "table", "heat_map_svg": "draw", "heat_map_table": "table"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
