"""Settings files: exact values, checked against the policy, and no way to code."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from drex_runtime.errors import DrexError, PolicyError
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.policies.settings import load_policy_config, read_policy_config, write_policy_config
from drex_runtime.policies.yaml_form import policy_to_yaml
from drex_runtime.records import ServerConfig, load_profile

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {"flush_size": 6, "art_factor_1": Fraction(29, 50), "alpha": Fraction(1, 3)}


def test_a_shipped_policy_is_named_and_its_settings_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    write_policy_config(path, SHIPPED["drex"], SETTINGS, {"found by": "xplain tune", "gap": "12 %"})
    assert "policy: drex\n" in path.read_text() and "alpha: 1/3" in path.read_text()
    assert load_policy_config(path) == (SHIPPED["drex"], SETTINGS)
    assert read_policy_config(path).provenance == {"found by": "xplain tune", "gap": "12 %"}


def test_the_settings_bind(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    write_policy_config(path, SHIPPED["drex"], SETTINGS, {})
    policy, settings = load_policy_config(path)
    profile = load_profile(ROOT / "examples" / "profiles" / "a100-llama2-13b-published.json")
    bound = bind(policy, profile, ServerConfig(8, 17), settings)
    assert bound.values["art_factor_1"] == Fraction(29, 50)


def test_any_other_policy_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    changed = replace(SHIPPED["drex"], order="edf")
    write_policy_config(path, changed, {}, {})
    assert load_policy_config(path) == (changed, {})


def test_a_path_is_taken_from_the_settings_file(tmp_path: Path) -> None:
    changed = replace(SHIPPED["threshold"], name="mine")
    (tmp_path / "mine.yaml").write_text(policy_to_yaml(changed))
    path = tmp_path / "tuned.yaml"
    path.write_text("schema: drex-policy-config/1\npolicy: mine.yaml\nparameters: {flush_size: 3}\n")
    assert load_policy_config(path) == (changed, {"flush_size": 3})


@pytest.mark.parametrize(("body", "parts"), [
    ("policy: drex\nparameters: {flush_sise: 3}", ["unknown parameter 'flush_sise'", "flush_size"]),
    ("policy: drex\nparameters: {flush_size: 0}", ["flush_size = 0", "an integer from 1"]),
    ("policy: drex\nparameters: {flush_size: 1.5}", ["flush_size = 1.5", "an integer from 1"]),
    ("policy: drex\nparameters: {alpha: 1001}", ["alpha = 1001", "from 0 to 1000"]),
    ("policy: drex\nparameters: {alpha: .inf}", ["parameters.alpha", ".inf"]),
    ("policy: drex\nparameters: {alpha: 1e3}", ["parameters.alpha", "1e3"]),
    ("policy: drex\nparameters: {alpha: [1]}", ["parameters.alpha", "a text"]),
    ("policy: drex\nparameters: {flush_size_2: 3}", ["unknown parameter 'flush_size_2'"]),
    ("policy: drex\nparameters: {art_factor_0: 3}", ["unknown parameter 'art_factor_0'"]),
    ("policy: drex\nparameters: [1]", ["parameters", "a mapping"]),
    ("policy: dreks", ["policy = dreks", "one of drex"]),
    ("policy: evil.py:run", ["policy = evil.py:run"]),
    ("policy: {name: x}", ["policy.launch", "nothing"]),
    ("policy: {nome: x}", ["policy.nome", "unknown field"]),
    ("parameters: {}", ["policy", "nothing"]),
    ("policy: drex\nsettings: {}", ["settings", "unknown field"]),
    ("policy: drex\nprovenance: {a: [1]}", ["provenance.a"]),
    ("policy: !!python/name:os.system", ["tag"]),
])
def test_bad_settings_are_named(tmp_path: Path, body: str, parts: list[str]) -> None:
    path = tmp_path / "tuned.yaml"
    path.write_text(f"schema: drex-policy-config/1\n{body}\n")
    with pytest.raises(DrexError) as raised:
        load_policy_config(path)
    for part in ("tuned.yaml", *parts):
        assert part in str(raised.value)


def test_wrong_schema_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    path.write_text("schema: drex-policy/1\npolicy: drex\n")
    with pytest.raises(DrexError, match="drex-policy-config/1"):
        load_policy_config(path)


def test_bad_settings_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="flush_size = 0"):
        write_policy_config(tmp_path / "tuned.yaml", SHIPPED["drex"], {"flush_size": 0}, {})
    assert not list(tmp_path.iterdir())
