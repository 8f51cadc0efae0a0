"""The largest gap of a policy over a small input space, proved: by enumeration, MILP or SMT.

Methods are imported from their modules (`steps_method.by_steps`, `smt_method.by_smt`): z3 and Pyomo load only then.
"""

from xplain.encodings.gap.answer import GapAnswer, Progress
from xplain.encodings.gap.mismatch import ReplayMismatch
from xplain.encodings.gap.problem import GapProblem, ReplayedGap

__all__ = ["GapAnswer", "GapProblem", "Progress", "ReplayMismatch", "ReplayedGap"]
