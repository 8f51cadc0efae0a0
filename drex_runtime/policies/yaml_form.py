"""The YAML form of a policy: the same table as text. Reading it evaluates nothing.

    schema: drex-policy/1
    name: my-policy
    order: fcfs                       # or edf
    parameters:
      batch_limit: {default: batch_max, low: 1, integer: true, unit: rows, meaning: ...}
    launch:                           # the first rule that holds wins
    - {rule: flush, action: RUN(s), when: buffered >= 4}
    - {rule: prefill, action: PREFILL}
    - {rule: decode, action: RUN(1)}
    - {rule: drain, action: RUN(s)}
    consult: always
    ramp:
    - {rule: split, action: SPLIT, when: 2*exits > batch}
    - {rule: stay, action: CONTINUE}
    join: buffered_next >= 1

A rule without `when` holds always. Numbers are exact: integers, decimals or quotients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import sympy
import yaml

from drex_runtime.errors import InputError, PolicyError
from drex_runtime.policies.expressions import Condition, parse_condition, parse_fraction, parse_scalar
from drex_runtime.policies.fields import Fields
from drex_runtime.policies.safe_yaml import Data, parse_yaml, read_yaml
from drex_runtime.policies.table import (
    RAMP_ACTIONS,
    LaunchRule,
    Parameter,
    Policy,
    PoolOrder,
    RampRule,
    Scope,
)
from drex_runtime.policies.text import condition_text, scalar_text
from drex_runtime.records.numbers import number_text

SCHEMA = "drex-policy/1"
MAX_RULES = 64
MAX_PARAMETERS = 64
ORDERS: tuple[PoolOrder, ...] = ("fcfs", "edf")
SCOPES: tuple[Scope, ...] = ("policy", "ramp", "pool")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_FIELDS = ("schema", "name", "description", "order", "parameters", "launch", "consult", "ramp", "join")
_PARAMETER_FIELDS = ("default", "low", "high", "integer", "scope", "unit", "meaning")
_RULE_FIELDS = ("rule", "action", "when")


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file. InputError or PolicyError, one line naming file and field."""
    return policy_from_data(read_yaml(path), str(path))


def parse_policy(text: str, source: str) -> Policy:
    """As `read_policy`, from text; `source` names its origin in errors."""
    return policy_from_data(parse_yaml(text, source), source)


def policy_from_data(data: dict[str, Data], source: str, path: str = "") -> Policy:
    """A policy from the mapping at `path` of the file `source`."""
    fields = Fields(source, path, data)
    if fields.text("schema", SCHEMA if path else None) != SCHEMA:
        raise fields.fail("schema", fields.text("schema"), SCHEMA)
    fields.only(_FIELDS)
    table = fields.table("parameters")
    if len(table.data) > MAX_PARAMETERS:
        raise fields.fail("parameters", f"{len(table.data)} entries", f"at most {MAX_PARAMETERS}")
    launch, ramp = fields.rows("launch", MAX_RULES), fields.rows("ramp", MAX_RULES)
    for row in (*launch, *ramp):
        row.only(_RULE_FIELDS)
    with _in_file(source):
        return Policy(
            name=fields.text("name"),
            parameters=tuple(_parameter(name, table) for name in table.data),
            launch=tuple(LaunchRule(row.text("rule"), row.text("action"), _condition(row, "when"))
                         for row in launch),
            consult=_condition(fields, "consult"),
            ramp=tuple(RampRule(row.text("rule"), row.choice("action", RAMP_ACTIONS), _condition(row, "when"))
                       for row in ramp),
            join=_condition(fields, "join"),
            order=fields.choice("order", ORDERS, "fcfs"),
            description=fields.text("description", ""),
        )


@contextmanager
def _in_file(source: str) -> Iterator[None]:
    """A PolicyError raised inside gets the file's name in front."""
    try:
        yield
    except PolicyError as error:
        raise PolicyError(f"{source}: {error}") from error


def _condition(fields: Fields, key: str) -> Condition:
    # A rule holds always if it says nothing; whether ramps are consulted and rows join must be said.
    value = fields.data.get(key, True if key == "when" else None)
    if not isinstance(value, str | bool):
        raise fields.fail(key, "nothing" if value is None else value, "a condition in text form")
    return parse_condition(value, fields.where(key))


def _parameter(name: str, table: Fields) -> Parameter:
    fields = table.table(name)
    fields.only(_PARAMETER_FIELDS)

    def number(key: str) -> Fraction | None:
        return None if fields.data.get(key) is None else parse_fraction(fields.text(key), fields.where(key))

    return Parameter(name, parse_scalar(fields.text("default"), fields.where("default")), number("low"), number("high"),
                     fields.flag("integer"), fields.text("unit", ""), fields.text("meaning", ""),
                     fields.choice("scope", SCOPES, "policy"))


def policy_to_data(policy: Policy) -> dict[str, Any]:
    """The mapping that `policy_from_data` reads back into an equal policy."""
    data: dict[str, Any] = {"schema": SCHEMA, "name": policy.name}
    if policy.description:
        data["description"] = policy.description
    data["order"] = policy.order
    data["parameters"] = {parameter.name: _parameter_data(parameter) for parameter in policy.parameters}
    data["launch"] = [_rule_data(rule.name, rule.action, rule.when) for rule in policy.launch]
    data["consult"] = condition_text(policy.consult)
    data["ramp"] = [_rule_data(rule.name, rule.action, rule.when) for rule in policy.ramp]
    data["join"] = condition_text(policy.join)
    return data


def _parameter_data(parameter: Parameter) -> dict[str, Any]:
    data: dict[str, Any] = {"default": scalar_text(parameter.default)}
    for key, value in (("low", parameter.low), ("high", parameter.high)):
        if value is not None:
            data[key] = number_text(value)
    if parameter.integer:
        data["integer"] = True
    if parameter.scope != "policy":
        data["scope"] = parameter.scope
    return data | {key: text for key, text in (("unit", parameter.unit), ("meaning", parameter.meaning)) if text}


def _rule_data(name: str, action: str, when: Condition) -> dict[str, str]:
    data = {"rule": name, "action": action}
    return data if when == sympy.true else data | {"when": condition_text(when)}


def dump_yaml(data: dict[str, Any]) -> str:
    """`data` as YAML text that `parse_yaml` reads back: block style outside, one line per innermost table."""
    return yaml.dump(data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=10_000,
                     default_flow_style=None)


class _PlainDumper(yaml.SafeDumper):
    """Numbers in text form need no quotes: `parse_yaml` keeps them text anyway."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    kind = "str" if not _NUMBER.fullmatch(text) else "float" if "." in text else "int"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", text)


_PlainDumper.add_representer(str, _represent_text)


def policy_to_yaml(policy: Policy) -> str:
    """The YAML form of `policy`; PolicyError if it would not read back equal."""
    text = dump_yaml(policy_to_data(policy))
    try:
        again = parse_policy(text, f"policy {policy.name}")
    except InputError as error:
        raise PolicyError(f"policy {policy.name} has no YAML form: {error}") from error
    if again != policy:
        raise PolicyError(f"policy {policy.name} has no YAML form that reads back equal")
    return text
