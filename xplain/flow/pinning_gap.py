"""The largest gap of demand pinning over all demands, as one single-level MILP from the compiled networks.

Leader: the demands and whether each is small; followers: the two networks of `pinning_network`, compiled with these as
inputs from outside. Both followers minimise unmet demand, so the program maximises heuristic - benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo

from drex_runtime.errors import InputError
from xplain.encodings.bilevel import Follower, Method, Program, choice, follower_from_block, gap_program, quantise
from xplain.flow.compiled import compile_network
from xplain.flow.pinning_network import PINNING, Case, demand_edge, is_small
from xplain.flow.rules import Quantity
from xplain.flow.topology import Pair, Topology


def followers(case: Case, demands: Sequence[Any], small: Sequence[Any]) -> tuple[Follower, Follower]:
    """(benchmark, heuristic) as linear programs in the demands and the indicators of small ones (Pyomo variables)."""
    if case.threshold is None:
        raise InputError("demand pinning", "threshold", None, "the heuristic's threshold")
    inputs: dict[Quantity, Any] = dict(zip(map(demand_edge, case.demands), demands, strict=True))
    rules = dict(zip(map(is_small, case.demands), small, strict=True))
    leaders = [*demands, *small]
    optimum = PINNING.concretise(Case(case.topology, case.demands, None, case.limit))
    compiled = [compile_network(optimum, inputs=inputs).block,
                compile_network(PINNING.concretise(case), inputs={**inputs, **rules}).block]
    benchmark, heuristic = (follower_from_block(block, leaders, name=name)
                            for block, name in zip(compiled, ("optimal", "pinning"), strict=True))
    return benchmark, heuristic


def largest_gap(topology: Topology, pairs: Sequence[Pair], threshold: int, most: int, *, method: Method = "kkt",
                levels: Sequence[int] | None = None, limit: int | None = None) -> Program:
    """The program; `encodings.bilevel.solve` proves its optimum. Demands are in 0..`most`, whole or on `levels`.

    Whole demands without levels make the program's primal-dual form bilinear: `method` "kkt" only (InputError).
    """
    case = Case(topology, {pair: (0, most) for pair in pairs}, threshold, limit)
    model = pyo.ConcreteModel(name="demand pinning")
    index = range(len(case.demands))
    model.demand = pyo.Var(index, domain=pyo.Integers if levels is None else pyo.Reals, bounds=(0, most))
    model.small = pyo.Var(index, bounds=(0, 1), domain=pyo.Binary if levels is None else pyo.Reals)
    demands, small = list(model.demand.values()), list(model.small.values())
    leaders, chosen = [*demands, *small], None
    if levels is None:
        model.rule = pyo.ConstraintList()
        for demand, on in zip(demands, small, strict=True):
            model.rule.add(demand <= threshold * on + most * (1 - on))
            model.rule.add(demand >= min(threshold + 1, most + 1) * (1 - on))
    else:
        count = len(demands)
        chosen = quantise(model, leaders, [choice((k, count + k), [(level, level <= threshold) for level in levels])
                                           for k in index])
    return gap_program(model, leaders, *followers(case, demands, small), method=method, levels=chosen)
