"""Schedules of EE scheduling: timelines, witnesses, proved worst cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from xplain.records.basic import STRICT

ProofMethod = Literal["auto", "enumerate", "milp", "smt", "blackbox"]
ProofSolver = Literal["auto", "highs", "cpsat", "gurobi"]


@dataclass(frozen=True)
class Bar:
    """A stretch of a timeline. kind: segment, ramp, start, rebatch, fill, prefill, idle; rows = request numbers."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    start: int
    end: int
    kind: str
    segment: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Timeline:
    """A run as bars on the device; `exits` and `parks` are (clock, request, segment); `completed` per request."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    title: str
    bars: tuple[Bar, ...]
    exits: tuple[tuple[int, int, int], ...]
    parks: tuple[tuple[int, int, int], ...]
    completed: tuple[int, ...]
    objective: int


@dataclass(frozen=True)
class Witness:
    """A small workload on which the heuristic loses: both schedules, the first costly decision, its counterfactual."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sample: int
    arrivals: tuple[int, ...]
    prompts: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    heuristic: Timeline
    optimum: Timeline
    gap: int
    relative_gap: float
    proved: bool
    first_costly: str
    counterfactual: str


@dataclass(frozen=True)
class WorstCase:
    """What an exact method says of the largest gap over *all* workloads of a bounded space, in ticks.

    The largest gap lies in `lower`..`upper`: `lower` is the gap of a replayed workload (`arrivals`, `depths`; both
    empty: none found), `upper` None means that nothing is proved. `proof`: `exact` (integers) or `floating-point`, how
    far `upper` can be trusted. `inputs`: workloads in the space, those equal but for names counted once. `stopped`:
    "proved" only if the two meet, else why not. `progress`: (seconds, lower, upper).
    Source: `encodings.gap.GapAnswer`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    space: str
    requests: int
    tokens: int
    open_arrivals: bool
    inputs: int
    method: str
    solver: str
    stopped: str
    proof: Literal["exact", "floating-point"] | None
    lower: int | None
    upper: int | None
    heuristic: int | None
    benchmark: int | None
    arrivals: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    seconds: float
    detail: str = ""
    progress: tuple[tuple[float, int | None, int | None], ...] = ()

    @property
    def proved(self) -> bool:
        """Whether witness and bound meet."""
        return self.stopped == "proved"

    @property
    def relative_gap(self) -> float | None:
        """lower / the benchmark of the same workload."""
        return self.lower / self.benchmark if self.lower is not None and self.benchmark else None
