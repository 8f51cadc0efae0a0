"""What a step did, as terms: answers of solvers are read by these."""

from __future__ import annotations

from dataclasses import dataclass, field

from xplain.encodings.steps.chooser import Decision
from xplain.encodings.terms import Bool, Int


@dataclass
class Step:
    """All false after the end. Times in ticks."""

    alive: Bool
    decision: Decision
    began: Int
    ended: Int
    rows: list[list[Bool]] = field(default_factory=list)  # by segment: the rows it ran for
    consulted: list[Bool] = field(default_factory=list)  # by ramp
    split: list[Bool] = field(default_factory=list)  # by ramp: ready rows left here
    joined: list[list[Bool]] = field(default_factory=list)  # by ramp
