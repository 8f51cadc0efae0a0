"""A policy in Python, where rules are built, not written: `drex policies examples/policies/in_python.py:ladder`."""

from __future__ import annotations

from fractions import Fraction

from drex_runtime.policies import LaunchRule, Parameter, Policy, RampRule
from drex_runtime.policies.expressions import parse_condition, symbol

STEPS = 4


def ladder() -> Policy:
    """Run a buffer the sooner the fewer rows are ready: one rule per step instead of one long condition."""
    buffered, ready, batch_limit = symbol("buffered"), symbol("ready"), symbol("batch_limit")
    rungs = tuple(LaunchRule(f"rung_{step}", "RUN(s)", (buffered >= step) & (STEPS * ready <= step * batch_limit))
                  for step in range(1, STEPS + 1))
    return Policy(
        name="ladder",
        parameters=(Parameter("batch_limit", symbol("batch_max"), low=Fraction(1), integer=True, unit="rows",
                              meaning="most rows of a RUN launch"),),
        launch=(*rungs, LaunchRule("prefill", "PREFILL"), LaunchRule("decode", "RUN(1)"),
                LaunchRule("drain", "RUN(s)")),
        consult=parse_condition("always", "consult"),
        ramp=(RampRule("split", "SPLIT", parse_condition("exits >= 1", "split")), RampRule("stay", "CONTINUE")),
        join=parse_condition("always", "join"),
        description="Run a buffer the sooner the fewer rows are ready.",
    )
