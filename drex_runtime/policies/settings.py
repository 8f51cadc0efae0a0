"""Settings files (`tuned.yaml`): a policy with exact parameter values, and where they come from.

    schema: drex-policy-config/1
    policy: drex                      # a shipped name, a path.yaml beside this file, or an inline policy table
    parameters: {flush_size: 12, art_factor_1: 0.58}
    provenance: {found-by: xplain tune, profile: h200}

`art_factor: online` lets the threshold follow the durations of the run (engine and reference simulator).
A settings file is data: it cannot name a Python file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import ONLINE, may_be_online
from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.fields import Fields
from drex_runtime.policies.load import YAML_SUFFIXES
from drex_runtime.policies.safe_yaml import read_yaml
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.policies.table import Parameter, Policy
from drex_runtime.policies.yaml_form import dump_yaml, policy_from_data, policy_to_data, policy_to_yaml, read_policy
from drex_runtime.records.files import write_atomic
from drex_runtime.records.numbers import number_text

SCHEMA = "drex-policy-config/1"
_FIELDS = ("schema", "policy", "parameters", "provenance")


@dataclass(frozen=True)
class PolicyConfig:
    """What a settings file says. `settings` go to `bind(policy, profile, config, settings)` as they are."""

    policy: Policy
    settings: dict[str, Fraction | str]
    provenance: dict[str, str] = field(default_factory=dict)


def load_policy_config(path: Path) -> tuple[Policy, dict[str, Fraction | str]]:
    """Policy and parameter values of a settings file. InputError or PolicyError, one line naming file and field."""
    config = read_policy_config(path)
    return config.policy, config.settings


def read_policy_config(path: Path) -> PolicyConfig:
    """A settings file with its provenance."""
    fields = Fields(str(path), "", read_yaml(path))
    fields.only(_FIELDS)
    if fields.text("schema") != SCHEMA:
        raise fields.fail("schema", fields.text("schema"), SCHEMA)
    policy = _policy(fields, path)
    given, origin = fields.table("parameters"), fields.table("provenance")
    try:
        settings = {name: _setting(policy, name, given) for name in given.data}
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error
    return PolicyConfig(policy, settings, {key: origin.text(key) for key in origin.data})


def write_policy_config(path: Path, policy: Policy, settings: Mapping[str, Fraction | int | str],
                        provenance: Mapping[str, str]) -> None:
    """Write a settings file atomically. A shipped policy is named, any other is written out in full.

    PolicyError if a setting is not one of the policy's or out of range.
    """
    for name, value in settings.items():
        check_setting(policy, name, value if isinstance(value, str) else Fraction(value))
    if SHIPPED.get(policy.name) != policy:
        policy_to_yaml(policy)  # refuses a policy without a YAML form
    data = {
        "schema": SCHEMA,
        "policy": policy.name if SHIPPED.get(policy.name) == policy else policy_to_data(policy),
        "parameters": {name: value if isinstance(value, str) else number_text(value)
                       for name, value in settings.items()},
        "provenance": dict(provenance),
    }
    write_atomic(path, dump_yaml(data))


def check_setting(policy: Policy, name: str, value: Fraction | str) -> None:
    """Refuse a name the policy does not have and a value out of its parameter's range (PolicyError)."""
    parameter = _parameter_of(policy, name)
    if parameter is None:
        raise PolicyError(f"policy {policy.name}: unknown parameter {name[:80]!r}; it has "
                          f"{', '.join(item.name for item in policy.parameters)}")
    if isinstance(value, str):
        if value != ONLINE or not may_be_online(parameter):
            raise PolicyError(f"policy {policy.name}: {name} = {value[:80]}: expected {range_text(parameter)}")
        return
    low, high = parameter.low, parameter.high
    if ((low is not None and value < low) or (high is not None and value > high)
            or (parameter.integer and value.denominator != 1)):
        raise PolicyError(f"policy {policy.name}: {name} = {number_text(value)}: expected {range_text(parameter)}")


def range_text(parameter: Parameter) -> str:
    """What values a parameter takes, in words."""
    kind = "an integer" if parameter.integer else "online or a number" if may_be_online(parameter) else "a number"
    low = "" if parameter.low is None else f" from {number_text(parameter.low)}"
    high = "" if parameter.high is None else f" to {number_text(parameter.high)}"
    return kind + low + high


def _policy(fields: Fields, path: Path) -> Policy:
    value = fields.data.get("policy")
    if isinstance(value, dict):
        return policy_from_data(value, str(path), "policy")
    subject = fields.text("policy")
    if subject in SHIPPED:
        return SHIPPED[subject]
    if subject.endswith(YAML_SUFFIXES):
        return read_policy(path.parent / subject)
    raise fields.fail("policy", subject, f"one of {', '.join(SHIPPED)}, a path ending in .yaml, or a policy table")


def _setting(policy: Policy, name: str, given: Fields) -> Fraction | str:
    if given.data[name] == ONLINE:
        check_setting(policy, name, ONLINE)
        return ONLINE
    value = parse_fraction(given.text(name), given.where(name))
    check_setting(policy, name, value)
    return value


def _parameter_of(policy: Policy, name: str) -> Parameter | None:
    """The parameter a setting's name means: `art_factor` for all ramps, `art_factor_2` for one."""
    stem, _, index = name.rpartition("_")
    scoped = policy.parameter(stem) if index.isascii() and index.isdigit() and index[0] != "0" else None
    if scoped is not None and scoped.scope != "policy":
        return scoped
    return policy.parameter(name)
