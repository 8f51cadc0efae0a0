"""A policy as a person reads it: parameters with range and meaning, rules in order with their conditions."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from drex_runtime.policies.table import LaunchRule, Parameter, Policy
from drex_runtime.policies.text import atom_text, condition_text, scalar_text
from drex_runtime.records.numbers import number_text

__all__ = ["atom_text", "condition_text", "policy_list", "policy_view"]

_SCOPES = {"policy": "", "ramp": "per ramp", "pool": "per buffer"}


def policy_list(policies: Iterable[Policy]) -> RenderableType:
    """One line per policy: name, description, parameters."""
    table = _table("policy", "what it does", "parameters")
    for policy in policies:
        names = ", ".join(parameter.name for parameter in policy.parameters)
        table.add_row(Text(policy.name, "bold"), Text(policy.description), Text(names))
    return table


def policy_view(policy: Policy) -> RenderableType:
    """The whole table of one policy."""
    head = Text.assemble((policy.name, "bold"), f"  {policy.description}".rstrip())
    notes = Text(f"rows in a pool: {_ORDERS[policy.order]}")
    if not policy.keeps_exits_voluntary:
        notes.append("\nforces rows out or holds finished ones: a baseline, without regret analysis")
    return Group(head, notes, Text(), _parameters(policy), Text(), _launch(policy), Text(), _at_ramp(policy))


_ORDERS = {"fcfs": "first come, first served", "edf": "earliest next-token due date first"}


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="underline")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _parameters(policy: Policy) -> Table:
    table = _table("parameter", "default", "range", "unit", "meaning")
    for parameter in policy.parameters:
        scope = _SCOPES[parameter.scope]
        name = Text.assemble((parameter.name, "bold"), f" ({scope})" if scope else "")
        table.add_row(name, Text(scalar_text(parameter.default)), Text(value_range(parameter)), Text(parameter.unit),
                      Text(parameter.meaning))
    return table


def value_range(parameter: Parameter) -> str:
    """`1..`, `0..1000`, `any`; integers and exact numbers are told apart by the word `exact`."""
    low = "" if parameter.low is None else number_text(parameter.low)
    high = "" if parameter.high is None else number_text(parameter.high)
    span = f"{low}..{high}" if low or high else "any"
    return span if parameter.integer else f"{span} exact"


def _launch(policy: Policy) -> Table:
    table = _table("next launch", "rule", "when")
    for rule in policy.launch:
        table.add_row(Text(_launch_action(rule), "bold"), Text(rule.name), Text(condition_text(rule.when)))
    table.add_row(Text("IDLE", "dim"), Text("-", "dim"), Text("no rule holds and is possible", "dim"))
    return table


def _launch_action(rule: LaunchRule) -> str:
    return "RUN(s), deepest buffer first" if rule.is_family else rule.action


def _at_ramp(policy: Policy) -> Table:
    table = _table("at a ramp", "rule", "when")
    table.add_row(Text("consult", "bold"), Text("-"), Text(condition_text(policy.consult)))
    for rule in policy.ramp:
        table.add_row(Text(rule.action, "bold"), Text(rule.name), Text(condition_text(rule.when)))
    table.add_row(Text("join the rows waiting behind it", "bold"), Text("-"), Text(condition_text(policy.join)))
    return table
