"""How far the heuristic can be from the best schedule at operating scale, where no optimum is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT


@dataclass(frozen=True)
class GapInterval:
    """Objectives (ticks; a count for misses) of one input, summed over its `workloads`.

    `slice`: a region, whose worst input this is, or "held-out input K" of the whole space; `point`: the input.
    The clairvoyant gap lies in [heuristic - replayed, heuristic - bound]: `replayed` is the best schedule found and
    replayed by the simulator (`found_by`: policies' names, or `beam`; one per workload, where they differ), `bound` is
    proved (`bound_by`: by which arguments).
    `tuned`: the heuristic's own policy with the settings that tuning proposes; heuristic - tuned is the tuning gap, and
    what is left of the interval (tuned - replayed .. tuned - bound) the residual gap. `hindsight`: the best of a fixed
    set of settings for each workload, which nobody can know beforehand. `per`: what a gap is divided by, 0: the
    benchmark (see `Sample`). `stopped`: what bounded the beam.
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
    hindsight: int | None = None
    per: int = 0
    point: dict[str, float] = field(default_factory=dict)
    stopped: str = ""

    @property
    def width(self) -> int:
        """Ticks between the ends: what is not known."""
        return self.replayed - self.bound

    @property
    def tuning_gap(self) -> int | None:
        """What the settings that tuning proposes save; None without them."""
        return None if self.tuned is None else self.heuristic - self.tuned

    @property
    def residual_gap(self) -> tuple[int, int] | None:
        """Least and most that is left then: policy class, selection and information; None without settings."""
        return None if self.tuned is None else (self.tuned - self.replayed, self.tuned - self.bound)

    @property
    def relative(self) -> tuple[float, float | None]:
        """The gap's ends, each divided by `per` or by the benchmark it is measured from; None: the bound is 0."""
        low, high = self.heuristic - self.replayed, self.heuristic - self.bound
        over = self.per or self.replayed
        under = self.per or self.bound
        return (low / over if over else 0.0), (high / under if under else None)

    def verdict(self, threshold: float) -> str:
        """`loses` or `does not lose` at least the threshold to the clairvoyant, or `cannot tell`."""
        low, high = self.relative
        if low >= threshold:
            return "loses"
        return "does not lose" if high is not None and high < threshold else "cannot tell"
