"""tuned.yaml: the proposed settings with their provenance, in the form that the engine loads."""

from __future__ import annotations

from pathlib import Path

from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.load import load_policy
from drex_runtime.policies.settings import write_policy_config
from xplain.records import Analysis
from xplain.request import AnalysisRequest


def write_tuned(path: Path, request: AnalysisRequest, analysis: Analysis) -> None:
    """Write the settings if tuning recommends them; otherwise the current ones, and say so in the provenance."""
    tuning = analysis.tuning
    policy = load_policy(request.subject)
    settings = dict(request.settings)
    recommended = tuning is not None and tuning.accepted
    if tuning is not None and recommended:
        settings |= {item.name: item.proposed for item in tuning.settings}
    provenance = {
        "made_by": request.command or "xplain analyze", "date": analysis.provenance.date,
        "profile": analysis.provenance.profile, "device": analysis.provenance.device,
        "seed": str(request.seed), "recommended": "yes" if recommended else "no: current settings kept",
        "evidence": tuning.reason if tuning else "not tuned",
    }
    exact = {name: parse_fraction(value, name) for name, value in settings.items()}
    write_policy_config(path, policy, exact, provenance)
