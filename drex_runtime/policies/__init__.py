"""Policies as rule tables: written once, executed by engine and simulators, translated by encodings."""

from drex_runtime.policies.bind import BoundPolicy, bind
from drex_runtime.policies.shipped import SHIPPED, shipped_policy
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, RampRule

__all__ = ["SHIPPED", "BoundPolicy", "LaunchRule", "Parameter", "Policy", "RampRule", "bind", "shipped_policy"]
