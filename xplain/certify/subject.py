"""What a run folder has to be certified: its policy, profile, regions at exact scale, tuned settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from drex_runtime.policies import BoundPolicy, bind
from drex_runtime.policies.settings import load_policy_config
from drex_runtime.records import CostProfile, ServerConfig, load_profile
from drex_runtime.records.quantise import quantised
from xplain.certify.record import NamedRegion
from xplain.problems.operating import Contender
from xplain.request import AnalysisRequest, contender, exact_problem, load_request
from xplain.run_folder import load_analysis


@dataclass(frozen=True)
class Subject:
    """`profile` is quantised where `quantum` > 1; `tuned`: the settings of tuned.yaml, None if there is none."""

    request: AnalysisRequest
    profile: CostProfile
    quantum: int
    contender: Contender
    regions: tuple[NamedRegion, ...]
    tuned: Mapping[str, Fraction | str] | None = None

    @property
    def tau(self) -> Fraction:
        """Relative gap from which a workload is bad, exactly as it was typed."""
        return Fraction(str(self.request.threshold))

    def current(self, config: ServerConfig) -> BoundPolicy:
        """The analysed policy with its settings."""
        return bind(self.contender.policy, self.profile, config, self.contender.settings)

    def other(self, name: str, config: ServerConfig) -> BoundPolicy:
        """Another policy, with its defaults."""
        return bind(contender(name).policy, self.profile, config)

    def proposed(self, config: ServerConfig) -> BoundPolicy:
        """The analysed policy with the tuned settings."""
        return bind(self.contender.policy, self.profile, config, dict(self.tuned or {}))


def load_subject(run: Path, quantum: int, rows: int) -> Subject:
    """Read what an analysis left in `run`. Costs are rounded up to multiples of `quantum` for 1..`rows` rows."""
    request, analysis = load_request(run / "request.json"), load_analysis(run)
    measured = load_profile(run / "profile.json")
    subject = exact_problem(request, measured).heuristic
    regions = tuple(NamedRegion(region.name, region.predicates) for region in analysis.regions
                    if region.scale == "exact")
    path = run / "tuned.yaml"
    tuned = load_policy_config(path)[1] if path.exists() else None
    costs = quantised(measured, quantum, min(rows, measured.max_rows))
    return Subject(request, costs, quantum, subject, regions, tuned)
