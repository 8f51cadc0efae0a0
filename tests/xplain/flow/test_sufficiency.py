"""Any LP or MILP is a flow network: random ones have the same status and optimum through the DSL as directly."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from drex_runtime.errors import RecordError
from tests.scale import scaled
from tests.xplain.flow.programs import directly, random_program
from xplain.flow.check import check, objective
from xplain.flow.solve import solve
from xplain.flow.translate import Program, as_network, value_of


@pytest.mark.parametrize("integers", [False, True])
def test_random_programs_have_the_same_status_and_optimum(integers: bool) -> None:
    seen = Counter[str]()
    for seed in range(scaled(70, 1000, f"flow:random programs, integers {integers}")):
        program = random_program(seed, integers=integers)
        status, optimum = directly(program)
        network = as_network(program)
        for merged in (True, False):
            found = solve(network, merged=merged)
            assert found.status == status, (seed, merged)
            if optimum is not None:
                assert found.objective == pytest.approx(optimum, abs=1e-6), (seed, merged)
                flows = {edge: value for edge, value in found.values.items() if isinstance(edge, tuple)}
                assert check(network, flows) == (), (seed, merged)
                assert objective(network, flows) == pytest.approx(optimum, abs=1e-6), (seed, merged)
                _satisfies(program, [found.values[value_of(program, j)] for j in range(len(program.objective))])
        seen[status] += 1
    assert min(seen[status] for status in ("optimal", "infeasible", "unbounded")) > 0, seen


def _satisfies(program: Program, x: list[float]) -> None:
    for row, relation, rhs in zip(program.matrix, program.relations, program.rhs, strict=True):
        total = sum(float(factor) * value for factor, value in zip(row, x, strict=True))
        slack = {"<=": total - float(rhs), ">=": float(rhs) - total, "=": abs(total - float(rhs))}[relation]
        assert slack <= 1e-6
    for j in program.integer:
        assert x[j] == pytest.approx(round(x[j]), abs=1e-6)


BEALE = Program("min", (-0.75, 150, -0.02, 6), ((0.25, -60, -0.04, 9), (0.5, -90, -0.02, 3), (0, 0, 1, 0)),
                ("<=", "<=", "<="), (0, 0, 1), (0,) * 4, (math.inf,) * 4)
KNAPSACK = Program("max", (8, 11, 6, 4), ((5, 7, 4, 3),), ("<=",), (14,), (0,) * 4, (1,) * 4, frozenset(range(4)))
WIDE = Program("max", (1, 1), ((3, 5),), ("<=",), (1000,), (-7, 0), (500, 1000), frozenset((0, 1)))


@pytest.mark.parametrize(("program", "optimum"), [(BEALE, -0.05), (KNAPSACK, 21), (WIDE, 333)])
def test_textbook_programs(program: Program, optimum: float) -> None:
    assert solve(as_network(program)).objective == pytest.approx(optimum)


GOOD: dict[str, Any] = {"sense": "min", "objective": (1,), "matrix": ((1,),), "relations": ("<=",), "rhs": (1,),
                        "lower": (0,), "upper": (1,)}


@pytest.mark.parametrize(("changes", "field"), [
    ({"rhs": (1, 2)}, "matrix"), ({"matrix": ((1, 2),)}, "matrix.0"), ({"lower": ()}, "lower"),
    ({"integer": frozenset((0,)), "upper": (math.inf,)}, "integer 0"), ({"integer": frozenset((3,))}, "integer 3"),
    ({"integer": frozenset((0,)), "upper": (2**50,)}, "integer 0")])
def test_what_is_no_program_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordError, match=f"Program: {field} ="):
        Program(**(GOOD | changes))
