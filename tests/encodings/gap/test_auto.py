"""`auto` takes the method that the size of the problem asks for, and says so."""

from __future__ import annotations

import pytest

from drex_runtime.errors import LimitError
from tests.encodings.gap.tiny import tiny_problem
from xplain.encodings.gap.auto import chosen, maximize, num_workloads


def test_small_problems_are_enumerated() -> None:
    problem = tiny_problem("drex", 3, 2)
    answer = maximize(problem)
    assert answer.method == "enumerate"
    assert "20 workloads are few enough" in answer.detail


def test_large_ones_are_not() -> None:
    assert num_workloads(tiny_problem("drex", 6, 4)) == 54_264
    assert num_workloads(tiny_problem("drex", 6, 4, batch_max=3)) == 16**6
    name, why = chosen(tiny_problem("drex", 6, 4, batch_max=3))
    assert name != "enumerate"
    assert "16777216 workloads are too many" in why
    assert chosen(tiny_problem("drex", 2, 30))[0] != "enumerate"


def test_a_method_can_be_asked_for_by_name() -> None:
    problem = tiny_problem("drex", 2, 2)
    found = {name: maximize(problem, name) for name in ("enumerate", "lattice")}
    assert found["enumerate"].lower == found["lattice"].lower
    assert found["lattice"].method == "lattice"
    with pytest.raises(LimitError, match="expected auto, enumerate, lattice, steps, smt"):
        maximize(problem, "guess")
