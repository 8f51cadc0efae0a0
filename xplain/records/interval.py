"""How far the heuristic can be from the best schedule at operating scale, where no optimum is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


@dataclass(frozen=True)
class GapInterval:
    """Objectives in ticks of one workload (`sample`, `replicate`) or summed over the `workloads` of a slice.

    The clairvoyant gap lies in [heuristic - replayed, heuristic - bound]: `replayed` is the best schedule found and
    replayed by the simulator (`found_by`: a policy's name or the beam), `bound` is proved (`bound_by`: which bound).
    `tuned`: the heuristic's own policy with the best parameters found; heuristic - tuned is the tuning gap, and what
    is left of the interval (tuned - replayed .. tuned - bound) the residual gap.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    slice: str
    workloads: int
    heuristic: int
    tuned: int | None
    replayed: int
    found_by: str
    bound: int
    bound_by: str
    seconds: float

    @property
    def width(self) -> int:
        """Ticks between the ends: what is not known."""
        return self.replayed - self.bound

    @property
    def tuning_gap(self) -> int | None:
        """What the best parameters found would save; None without them."""
        return None if self.tuned is None else self.heuristic - self.tuned
