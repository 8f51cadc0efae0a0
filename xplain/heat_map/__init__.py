"""Edge heat maps: where the flows of a heuristic and of its benchmark part, over many samples."""

from xplain.heat_map.record import EdgeHeat, HeatMap, Mean
from xplain.heat_map.score import heat_map

__all__ = ["EdgeHeat", "HeatMap", "Mean", "heat_map"]
