"""Edge heat maps: where the flows of a heuristic and of its benchmark part, over many samples."""

from xplain.heat_map.draw import heat_map_figure, heat_map_svg
from xplain.heat_map.score import heat_map
from xplain.heat_map.table import heat_map_html, heat_map_table
from xplain.records.heat_map import EdgeHeat, HeatMap, Mean

__all__ = ["EdgeHeat", "HeatMap", "Mean", "heat_map", "heat_map_figure", "heat_map_html", "heat_map_svg",
           "heat_map_table"]
