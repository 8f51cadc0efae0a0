"""Servers and models for EE scheduling: what a pass, a second pass, a ramp and regrouping cost, how many at once.

The input distribution is that of the exact scale (n requests of T tokens, exit share uniform). Costs are stated
relative to the shallow segment of one row. No request has a prompt, so that what prefilling costs cannot matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import InputError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.table import Policy
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, ServerConfig
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.encodings.exact import Limits, solve
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import Contender

UNIT = 1000  # ticks of a shallow segment with one row
BUCKETS = (1, 2, 4, 8)
NODES = 20_000  # of one exact search: results must not depend on the clock

MEANINGS: dict[str, tuple[str, str]] = {
    "start": ("the price of starting a second pass", "shallow segments"),
    "ramp": ("the price of consulting a ramp", "shallow segments"),
    "rebatch": ("the price of parking rows", "shallow segments"),
    "deep": ("the price of the deep segment", "shallow segments"),
    "per_row": ("the share of a segment's price that grows with its rows", ""),
    "requests": ("the number of requests", "requests"),
    "places": ("the number of places", "places"),
    "batch_max": ("the number of rows that a launch takes", "rows"),
    "prefill": ("the price of prefilling a token", "shallow segments"),
}


@dataclass(frozen=True)
class Server:
    """Costs and resources for a number of requests."""

    profile: CostProfile
    config: ServerConfig
    requests: int
    start: float
    ramp: float
    rebatch: float
    deep: float
    per_row: float


@dataclass(frozen=True)
class EESchedulingFamily:
    """Response: mean relative gap of `policy` to the clairvoyant optimum over `effort` drawn workloads.

    Where an optimum is only known to lie in an interval, the gap that is certain counts. Raises InputError.
    """

    policy: str = "drex"
    tokens: int = 3
    most_requests: int = 4
    effort: int = 8
    objective: Objective = "total-completion"
    noun: str = "servers"
    table: Policy | None = None  # instead of a shipped one; `policy` is then its name

    def __post_init__(self) -> None:
        if not 2 <= self.most_requests <= max(BUCKETS):
            raise InputError(self.name, "most_requests", self.most_requests, f"2 to {max(BUCKETS)}")
        for field, value in (("tokens", self.tokens), ("effort", self.effort)):
            if value < 1:
                raise InputError(self.name, field, value, "at least 1")

    @property
    def name(self) -> str:
        """With the policy."""
        return f"EE scheduling, {self.policy}"

    @property
    def response(self) -> tuple[str, str]:
        """What `respond` returns."""
        return (f"the mean relative gap ({self.objective}) to the clairvoyant optimum over {self.effort} drawn "
                f"workloads of {self.tokens} tokens per request"), ""

    def draw(self, rng: np.random.Generator) -> Server:
        """Prices up to those of a segment, a deep segment from half to twice the shallow one."""
        start, ramp, rebatch = (float(rng.uniform(0, high)) for high in (1.0, 0.3, 0.3))
        deep, per_row = float(rng.uniform(0.5, 2.0)), float(rng.uniform(0, 0.5))
        requests = int(rng.integers(2, self.most_requests + 1))
        places = int(rng.integers(1, requests + 1))
        rows = int(rng.integers(1, places + 1))
        profile = CostProfile(
            "drawn", BUCKETS, (_segment(1.0, per_row), _segment(deep, per_row)), (LinearCost(round(ramp * UNIT)),),
            (round(start * UNIT),), round(rebatch * UNIT), LinearCost(),
            PrefillCost(0, round(float(rng.uniform(0, 1)) * UNIT)))
        return Server(profile, ServerConfig(rows, places), requests, start, ramp, rebatch, deep, per_row)

    def features(self, instance: Server) -> dict[str, float]:
        """Those of MEANINGS."""
        return {"start": instance.start, "ramp": instance.ramp, "rebatch": instance.rebatch, "deep": instance.deep,
                "per_row": instance.per_row, "requests": instance.requests, "places": instance.config.max_num_seqs,
                "batch_max": instance.config.batch_max, "prefill": instance.profile.prefill.per_token / UNIT}

    def respond(self, instance: Server, seed: int) -> float:
        """Simulation against exact search."""
        table = self.table or shipped_policy(self.policy)
        limits, profile, config = Limits(nodes=NODES), instance.profile, instance.config
        space = ExactProblem(Contender(self.policy, table), profile, self.objective, 0.0, requests=instance.requests,
                             tokens=self.tokens, limits=limits)
        bound, rng, total = bind(table, profile, config), np.random.default_rng(seed), 0.0
        for _ in range(self.effort):
            workload = space.workload(space.draw(rng))
            ours = int(simulate_compiled(bound, workload).objective(self.objective))
            best = solve(workload, profile, config, self.objective, limits=limits).interval.upper
            total += (ours - min(best, ours) if table.keeps_exits_voluntary else ours - best) / best
        return total / self.effort

    def describe(self, feature: str) -> tuple[str, str]:
        """Meaning and unit."""
        return MEANINGS.get(feature, (feature, ""))


def _segment(price: float, per_row: float) -> SegmentCost:
    """One price for a single row whatever the share that grows with rows."""
    grows = round(per_row * price * UNIT)
    return SegmentCost((max(1, round(price * UNIT) - grows),) * len(BUCKETS), grows)
