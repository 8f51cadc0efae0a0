"""The largest gap of a policy over a small input space, proved: by enumeration, MILP or SMT."""

from xplain.encodings.gap.answer import GapAnswer, Progress
from xplain.encodings.gap.problem import GapProblem, ReplayedGap

__all__ = ["GapAnswer", "GapProblem", "Progress", "ReplayedGap"]
