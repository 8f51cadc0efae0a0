"""A certificate's model in words."""

from __future__ import annotations

from fractions import Fraction

from drex_runtime.errors import InputError
from xplain.certify.record import Model, NamedRegion
from xplain.encodings.certificates.features import Shape
from xplain.encodings.certificates.workloads import count, shape_of
from xplain.encodings.steps.inputs import InputSpace
from xplain.problems.exact_features import feature_named
from xplain.regions.sentences import number
from xplain.report.units import duration


def statement_of(model: Model) -> str:
    """One sentence: who loses how much against whom, on which workloads, with which resources and costs."""
    other = "the clairvoyant optimum" if model.benchmark is None else named(model, "benchmark")
    return f"{_claim(model, other)}. Workloads: {_space(model.space)}; {_resources(model)}"


def named(model: Model, side: str) -> str:
    """A policy's name; with its parameters where two of one name are compared."""
    table = model.policy if side == "policy" else model.benchmark
    if table is None:
        return "the clairvoyant optimum"
    if model.benchmark is None or model.policy.name != model.benchmark.name:
        return table.name
    ours, theirs = model.policy.parameters, model.benchmark.parameters
    differing = [f"{name} = {value}" for name, value in table.parameters.items() if ours.get(name) != theirs.get(name)]
    return f"{table.name} ({', '.join(differing) or 'the same parameters'})"


def region_text(region: NamedRegion, shape: Shape) -> str:
    """Name and conditions of a region."""
    if not region.predicates:
        return f"{region.name} (everywhere)"
    conditions = [f"{_meaning(item.feature, shape)} {item.relation} {number(item.bound)}" for item in region.predicates]
    return f"{region.name} ({' and '.join(conditions)})"


def _meaning(feature: str, shape: Shape) -> str:
    known = feature_named(feature, shape)
    return feature if known is None else known.meaning


def _claim(model: Model, other: str) -> str:
    shape = shape_of(model.space, model.grid)
    policy, tick = named(model, "policy"), model.profile.tick
    amount = f"{duration(abs(model.value), tick)} ({abs(model.value):,} {tick})"
    regions = "; ".join(region_text(region, shape) for region in model.regions)
    if model.kind == "d":
        outside = f"outside {regions}" if model.regions else "anywhere"
        if model.value != -1 or model.relation != "at-most":
            raise InputError("certificate", "value", model.value, "at most -1: no workload outside reaches tau")
        return f"{policy} loses {_percent(model.relative)} or more to {other} on no workload {outside}"
    inside = {"everywhere": "on every workload", "inside": f"on every workload in {regions}",
              "outside": f"on every workload outside {regions}"}[model.where]
    if model.relation == "at-least":
        verb = "loses at least" if model.value >= 0 else "gains at most"
        return f"{policy} {verb} {amount} {'to' if model.value >= 0 else 'on'} {other} {inside}"
    verb = "loses at most" if model.value >= 0 else "gains at least"
    return f"{policy} {verb} {amount} {'to' if model.value >= 0 else 'on'} {other} {inside}"


def _percent(relative: str) -> str:
    return f"{float(100 * Fraction(relative)):g} %"


def _space(space: InputSpace) -> str:
    times = sorted({time for each in space.requests for time in each.arrivals})
    arrivals = "all at 0" if times == [0] else \
        f"arrivals at {', '.join(f'{time:,}' for time in times)} {space.tick}" if len(times) <= 8 else \
        f"arrivals at {len(times)} times up to {times[-1]:,} {space.tick}"
    tokens = "/".join(str(length) for length in sorted({one for each in space.requests for one in each.lengths}))
    return f"all {count(space):,} of {len(space.requests)} requests x {tokens} tokens, any depths, {arrivals}"


def _resources(model: Model) -> str:
    costs = f"profile {model.profile.name}"
    if model.quantum > 1:
        costs += f" rounded up to multiples of {model.quantum:,} {model.profile.tick}"
    return f"N = {model.config.max_num_seqs}, batch_max = {model.config.batch_max}; {model.objective}; {costs}"
