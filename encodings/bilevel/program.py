"""max over x of a weighted sum of followers' optimal values, as one MILP; above all the gap of a heuristic.

Followers whose optimum the outer objective pursues anyway (the benchmark in OPT - H) enter directly, the others are
rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.embedded import Embedded
from xplain.encodings.bilevel.follower import Follower
from xplain.encodings.bilevel.levels import Levels
from xplain.encodings.bilevel.rewrite import Method, embed_direct, is_aligned, rewrite


@dataclass(frozen=True, eq=False)
class Program:
    """`model` maximises sum_k weights[k] * value of followers[k] over the `leaders`' inputs."""

    model: Any
    leaders: tuple[Any, ...]
    weights: tuple[float, ...]
    followers: tuple[Embedded, ...]
    levels: Levels | None

    @property
    def forms(self) -> dict[str, str]:
        """How each follower entered: "direct" (aligned with the objective), "kkt" or "primal-dual"."""
        return {each.follower.name: each.form for each in self.followers}


def bilevel_program(model: Any, leaders: Sequence[Any], terms: Sequence[tuple[float, Follower]], *,
                    method: Method = "kkt", levels: Levels | None = None) -> Program:
    """Add all followers and the objective to `model`, which holds the leaders and whatever constrains them.

    The model must have no objective of its own and no constraint on followers' variables. Raises as `rewrite` does.
    """
    if next(model.component_data_objects(pyo.Objective, active=True), None) is not None:
        raise InputError("bilevel program", "model", model.name, "a model without an active objective")
    embedded = tuple(
        embed_direct(model, follower, leaders, levels=levels) if is_aligned(follower, weight) else
        rewrite(model, follower, leaders, method=method, levels=levels) for weight, follower in terms)
    weights = tuple(float(weight) for weight, _ in terms)
    total = sum(weight * each.value for weight, each in zip(weights, embedded, strict=True))
    model.objective = pyo.Objective(expr=total, sense=pyo.maximize)
    return Program(model, tuple(leaders), weights, embedded, levels)


def gap_program(model: Any, leaders: Sequence[Any], benchmark: Follower, heuristic: Follower, *, method: Method = "kkt",
                levels: Levels | None = None) -> Program:
    """max_x OPT(x) - H(x) for followers that maximise, max_x H(x) - OPT(x) for followers that minimise.

    Inputs at which either has no optimum are left out. InputError if the two have different senses.
    """
    if benchmark.sense != heuristic.sense:
        raise InputError(f"follower {heuristic.name}", "sense", heuristic.sense,
                         f"that of {benchmark.name}, {benchmark.sense!r}")
    sign = 1.0 if benchmark.sense == "max" else -1.0
    return bilevel_program(model, leaders, [(sign, benchmark), (-sign, heuristic)], method=method, levels=levels)
