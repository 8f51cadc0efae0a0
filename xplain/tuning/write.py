"""tuned.yaml: the proposed settings with their provenance, in the form that the engine loads."""

from __future__ import annotations

from pathlib import Path

from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.load import load_policy
from drex_runtime.policies.settings import write_policy_config
from drex_runtime.records import CostProfile
from xplain.certify.record import profile_hash
from xplain.records import Analysis, Comparison, Tuning
from xplain.request import AnalysisRequest


def write_tuned(path: Path, request: AnalysisRequest, analysis: Analysis, profile: CostProfile, run: str) -> None:
    """Write the settings if tuning recommends them; otherwise the current ones, and say so in the provenance.

    `profile`: the one tuned on, named with the SHA-256 of its content; `run`: name of the run folder.
    """
    tuning = analysis.tuning
    policy = load_policy(request.subject)
    settings = dict(request.settings)
    recommended = tuning is not None and tuning.accepted
    if tuning is not None and recommended:
        settings |= {item.name: item.proposed for item in tuning.settings}
    origin = analysis.provenance
    provenance = {
        "made_by": request.command or "xplain analyze", "run": run, "date": origin.date,
        "profile": profile.name, "profile_sha256": profile_hash(profile), "profile_origin": origin.profile_origin,
        "device": origin.device, "traffic": request.trace or f"generated, space {request.space.name}",
        "compared_with": " or ".join(request.benchmarks) + f", {request.objective}", "seed": str(request.seed),
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(origin.versions.items())),
        "recommended": "yes" if recommended else "no: current settings kept", **_evidence(tuning)}
    exact = {name: parse_fraction(value, name) for name, value in settings.items()}
    write_policy_config(path, policy, exact, provenance)


def _evidence(tuning: Tuning | None) -> dict[str, str]:
    """What speaks for the settings: each kind of statement with its label."""
    if tuning is None:
        return {"evidence": "not tuned"}
    found = {"evidence": tuning.reason}
    found |= {f"held_out {item.slice}": _line(item) for item in tuning.comparisons}
    if tuning.recovered is not None:
        found["recovered"] = f"{tuning.recovered:.0%} of the tuning gap; {tuning.recovery} [simulated]"
    if tuning.certificate:
        found["certificate"] = tuning.certificate
    return found


def _line(item: Comparison) -> str:
    interval = f"95 % interval {item.after_low:+.1%} to {item.after_high:+.1%}"
    return (f"mean gap {item.before:+.1%} to {item.after:+.1%} ({interval}), worst {item.worst_before:+.1%} to "
            f"{item.worst_after:+.1%}, throughput at least {item.minimum_ratio_after:.3f} of no-exit's, "
            f"{item.workloads} workloads [simulated, statistical]")
