"""The records that flow through the analysis: Space -> Samples -> Regions -> Causes -> Tuning -> Analysis.

Immutable and serialisable, so that every stage is a function from record to record and can be rerun alone from
the run folder. Times are integer ticks of the profile. Every number a report prints carries an evidence label.
"""

from xplain.records.accounting import Accounting, AccountingLine
from xplain.records.analysis import Analysis, Finding, Provenance, Resources
from xplain.records.basic import (
    INFEASIBLE_GAP,
    STRICT,
    UNBIASED,
    Dimension,
    Evidence,
    Origin,
    Point,
    Rate,
    Sample,
    Scale,
    SearchTrace,
)
from xplain.records.cause import Attribution, Cause
from xplain.records.cluster import CauseShare, Cluster, ClusterPart, Contrast
from xplain.records.guard import GuardProposal
from xplain.records.guidance import Advice
from xplain.records.heat_map import EdgeHeat, HeatMap, Mean
from xplain.records.interval import GapInterval
from xplain.records.region import Predicate, Region
from xplain.records.replay import MeasuredRatio, ReplayedWorkload, ReplayReport
from xplain.records.schedule import Bar, ProofMethod, ProofSolver, Timeline, Witness, WorstCase
from xplain.records.tuning import Comparison, FrontPoint, NamedParameters, Setting, Tuning

__all__ = [
    "INFEASIBLE_GAP", "STRICT", "UNBIASED", "Accounting", "AccountingLine", "Advice", "Analysis", "Attribution",
    "Bar", "Cause", "CauseShare", "Cluster", "ClusterPart", "Comparison", "Contrast", "Dimension", "EdgeHeat",
    "Evidence", "Finding", "FrontPoint", "GapInterval", "GuardProposal", "HeatMap", "Mean", "MeasuredRatio",
    "NamedParameters", "Origin", "Point", "Predicate", "ProofMethod", "ProofSolver", "Provenance", "Rate", "Region",
    "ReplayReport", "ReplayedWorkload", "Resources", "Sample", "Scale", "SearchTrace", "Setting", "Timeline", "Tuning",
    "Witness", "WorstCase",
]
