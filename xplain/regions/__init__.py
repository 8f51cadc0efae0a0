"""Regions of the input space in which the heuristic loses: proposed on search samples, judged on fresh ones."""

from xplain.regions.exclude import Outside, excluding, outside
from xplain.regions.find import find_regions, find_regions_with_evidence, judge_regions
from xplain.regions.linear import with_linear
from xplain.regions.options import Options, Slices
from xplain.regions.record import Linear, RegionEvidence, RegionSearch, SizePoint, UnionScore
from xplain.regions.score import wilson

__all__ = ["Linear", "Options", "Outside", "RegionEvidence", "RegionSearch", "SizePoint", "Slices", "UnionScore",
           "excluding", "find_regions", "find_regions_with_evidence", "judge_regions", "outside", "wilson",
           "with_linear"]
