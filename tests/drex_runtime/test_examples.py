"""Shipped examples: profiles come from their script and published numbers, workloads and policies load."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from drex_runtime.policies import SHIPPED, bind
from drex_runtime.policies.art import art_terms
from drex_runtime.policies.load import load_policy
from drex_runtime.policies.observation import SLACK_CAP
from drex_runtime.policies.settings import load_policy_config
from drex_runtime.records import ServerConfig, load_profile, load_workload
from drex_runtime.scheduling.pools import ramp_view
from drex_runtime.scheduling.recent import Recent
from drex_runtime.simulator.reference import simulate
from drex_runtime.traces import load_trace

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROFILES, POLICIES, WORKLOADS = EXAMPLES / "profiles", EXAMPLES / "policies", EXAMPLES / "workloads"
PUBLISHED = PROFILES / "a100-llama2-13b-published.json"


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        pytest.fail(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_profile_gives_the_published_threshold() -> None:
    profile = load_profile(PUBLISHED)
    terms = art_terms(profile, ramp=1, rows=8)
    assert (terms.shallow, terms.deep, terms.full) == (28_630, 42_830, 52_060)
    assert terms.factor == Fraction(1940, 4283)
    assert round(float(terms.factor), 3) == 0.453
    assert round(float(terms.factor * 8), 1) == 3.6
    assert profile.meta.origin == "published" and "Derived" in profile.meta.note


def test_drex_on_the_published_profile_splits_from_four_exits_of_eight() -> None:
    bound = bind(SHIPPED["drex"], load_profile(PUBLISHED), ServerConfig(8, 17))
    views = (ramp_view(1, 8, exits, 0, 8, SLACK_CAP, Recent(1).view(1)) for exits in range(8))
    actions = [bound.ramp_rule(1, view).action for view in views]
    assert actions == ["CONTINUE"] * 4 + ["SPLIT"] * 4


def test_the_h200_estimates_come_from_the_script(tmp_path: Path) -> None:
    estimate = script(PROFILES / "estimate.py")
    shipped = sorted(path.name for path in PROFILES.glob("h200*.json"))
    assert shipped == sorted(estimate.file_name(start) for start in (0, 60, 500))
    for start in estimate.STARTS_US:
        profile = estimate.estimate(start)
        assert load_profile(PROFILES / estimate.file_name(start)) == profile
        assert profile.meta.origin == "estimate" and profile.starts == (1000 * start,)


def test_the_estimate_is_weights_and_cache_over_bandwidth() -> None:
    profile = load_profile(PROFILES / "h200-llama2-13b-estimate-start-0us.json")
    step = sum(profile.segment_cost(segment, 1, 0) for segment in (1, 2))
    weights = 2 * (40 * (4 * 5120**2 + 3 * 5120 * 13824) + 5120 * 32000)
    assert step == pytest.approx(weights / (4.8e12 * 0.8) * 1e9, rel=0.001)
    assert profile.segments[0].per_context == pytest.approx(2 * 2 * 5120 * 20 / (4.8e12 * 0.8) * 1e9, rel=0.01)
    assert profile.buckets == (1, 2, 4, 8, 16, 32, 64, 128, 256)


def test_the_workloads_come_from_their_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(WORKLOADS / "make.py")
    monkeypatch.setattr("sys.argv", ["make.py", str(tmp_path)])
    made.main()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["burst-16.json", "recording.jsonl", "steady-24.json"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (WORKLOADS / name).read_bytes(), f"run {WORKLOADS / 'make.py'}"
    assert load_trace(WORKLOADS / "recording.jsonl").num_segments == 2


@pytest.mark.parametrize("subject", [*SHIPPED, str(POLICIES / "timeout.yaml"), str(POLICIES / "per_ramp.yaml"),
                                     f"{POLICIES / 'in_python.py'}:ladder"])
def test_every_policy_runs_the_burst_on_the_estimate(subject: str) -> None:
    profile = load_profile(PROFILES / "h200-llama2-13b-estimate-start-60us.json")
    run = simulate(bind(load_policy(subject), profile, ServerConfig(8, 16)), load_workload(WORKLOADS / "burst-16.json"))
    assert min(run.completed) > 0


def test_the_yaml_form_of_drex_is_current() -> None:
    assert load_policy(str(POLICIES / "drex.yaml")) == SHIPPED["drex"], "drex policies drex --yaml > drex.yaml"


def test_the_settings_example_binds() -> None:
    policy, settings = load_policy_config(POLICIES / "tuned.yaml")
    bound = bind(policy, load_profile(PUBLISHED), ServerConfig(8, 17), settings)
    assert bound.values["flush_size"] == 4 and bound.values["art_factor_1"] == Fraction(1, 4)
