"""Printed policy tables become tables again."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from drex_runtime.policies.shipped import SHIPPED, shipped_policy
from drex_runtime.policies.show import policy_view
from drex_runtime.policies.text import condition_text
from xplain.report.policy_text import rule_tables


def printed(name: str, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width, highlight=False)
    with console.capture() as capture:
        console.print(policy_view(shipped_policy(name)))
    return [line.rstrip() for line in capture.get().rstrip().split("\n")]


@pytest.mark.parametrize("width", [90, 110, 300])
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_rule_of_every_shipped_policy_is_a_row(name: str, width: int) -> None:
    policy = shipped_policy(name)
    tables = rule_tables(printed(name, width))
    launches = next(table for table in tables if table.head[:1] == ("next launch",))
    assert [row[1] for row in launches.rows[:-1]] == [rule.name for rule in policy.launch]
    ramp = next(table for table in tables if table.head[:1] == ("at a ramp",))
    assert [row[0] for row in ramp.rows[1:-1]] == [rule.action for rule in policy.ramp]
    if width == 300:
        assert [row[2] for row in launches.rows[:-1]] == [condition_text(rule.when) for rule in policy.launch]


def test_text_without_columns_stays_text() -> None:
    (only,) = rule_tables(["one paragraph", "of two lines"])
    assert only.head == ()
    assert only.text == "one paragraph\nof two lines"
    assert rule_tables([]) == []
    assert rule_tables([""]) == []
