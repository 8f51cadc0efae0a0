"""A gap problem: which policy, over which workloads, against what; and the replay that every answer must pass.

gap(x) = H(x) - benchmark(x), both integers in ticks of the policy's profile. The benchmark is the clairvoyant optimum
(None) or another policy. Source: scheduling model, Gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator import simulate
from xplain.encodings.exact import Limits, solve
from xplain.encodings.steps.inputs import InputSpace


@dataclass(frozen=True)
class ReplayedGap:
    """What reference simulator and exact search say of one workload, in ticks; `gap` = heuristic - benchmark."""

    workload: Workload
    heuristic: int
    benchmark: int

    @property
    def gap(self) -> int:
        """heuristic - benchmark."""
        return self.heuristic - self.benchmark


@dataclass(frozen=True)
class GapProblem:
    """`policy` over `space` against `benchmark` (None: the clairvoyant optimum), by `objective`.

    Raises PolicyError if the two policies are bound to different profiles or resources, LimitError if space, profile
    and resources do not fit the exact methods.
    """

    space: InputSpace
    policy: BoundPolicy
    benchmark: BoundPolicy | None = None
    objective: Objective = "total-completion"

    def __post_init__(self) -> None:
        self.policy.require_frozen("a gap problem")
        other = self.benchmark
        if other is not None:
            other.require_frozen("a gap problem")
            if (other.profile, other.config) != (self.policy.profile, self.policy.config):
                raise PolicyError(f"policies {self.policy.policy.name} and {other.policy.name} are bound to different "
                                  "profiles or resources: a gap needs equal ones")
        if self.space.num_segments != self.profile.num_segments:
            raise LimitError(f"the input space has {self.space.num_segments} segments, profile {self.profile.name} "
                             f"{self.profile.num_segments}")
        if self.config.prefill_tokens is not None or self.config.idle_max is not None:
            raise LimitError("exact methods have unlimited prefill_tokens and idle_max; leave both out")

    @property
    def profile(self) -> CostProfile:
        """Costs, in ticks."""
        return self.policy.profile

    @property
    def config(self) -> ServerConfig:
        """Resources, the same for both sides."""
        return self.policy.config

    def replay(self, workload: Workload, limits: Limits | None = None) -> ReplayedGap:
        """The gap of one workload by the reference simulator and the exact search (or the other policy's run).

        LimitError if the exact search does not end within `limits`: then there is no integer to report.
        """
        heuristic = simulate(self.policy, workload).objective(self.objective)
        if self.benchmark is not None:
            return ReplayedGap(workload, heuristic, simulate(self.benchmark, workload).objective(self.objective))
        found = solve(workload, self.profile, self.config, self.objective, limits=limits or Limits())
        if found.interval.lower != found.interval.upper:
            raise LimitError(f"the optimum is known to lie in {found.interval.lower}..{found.interval.upper} only; "
                             "give the exact search more time")
        return ReplayedGap(workload, heuristic, found.interval.lower)
