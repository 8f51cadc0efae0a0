"""Regions of the input space in which the heuristic loses: proposed on search samples, judged on fresh ones."""

from xplain.regions.find import Options, find_regions
from xplain.regions.score import wilson

__all__ = ["Options", "find_regions", "wilson"]
