"""Case studies: any heuristic through the whole analysis, the shipped ones and your own."""

from xplain.records import Dimension
from xplain.studies.case import Case, InfeasibleError

__all__ = ["Case", "Dimension", "InfeasibleError"]
