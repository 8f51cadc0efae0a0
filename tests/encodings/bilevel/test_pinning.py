"""Demand pinning as a bilevel program: known gaps, both rewrites, and the heuristic as it is stated."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from tests.encodings.bilevel.brute_force import best, optimum
from tests.encodings.bilevel.pinning import Pinning, with_pins
from xplain.encodings.bilevel import Method, NoOptimumError, ReplayError, replay, rewrite, solve

PAPER = Pinning({("1", "2"): 100, ("2", "3"): 100, ("1", "4"): 50, ("4", "5"): 50, ("5", "3"): 50},
                [("1", "3"), ("1", "2"), ("2", "3")], threshold=50, most=100)
LINE = Pinning({("a", "b"): 10, ("b", "c"): 10}, [("a", "c"), ("a", "b"), ("b", "c")], threshold=5, most=10)
TRIANGLE = Pinning({("a", "b"): 10, ("b", "c"): 10, ("a", "c"): 6}, [("a", "b"), ("b", "c"), ("a", "c")],
                   threshold=4, most=10)
CHAIN = Pinning({("a", "b"): 8, ("b", "c"): 8, ("c", "d"): 8}, [("a", "d"), ("a", "b"), ("b", "c"), ("c", "d")],
                threshold=6, most=8)
RING = Pinning({link: 20 for a, b in ("ab", "bc", "cd", "de", "ea", "be") for link in ((a, b), (b, a))},
               [("a", "c"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "d"), ("b", "d"), ("c", "e")],
               threshold=8, most=20)
METHODS: list[Method] = ["kkt", "primal-dual"]


def as_stated(problem: Pinning, demands: tuple[float, ...]) -> float | None:
    """The heuristic written as it is told: pinned demands are rows of their own, the rest is routed around them."""
    flows = [(k, path) for k, demand in enumerate(problem.demands) for path in problem.paths(demand)]
    upper = [[float(link in path) for _, path in flows] for link in problem.links]
    upper += [[float(of == k) for of, _ in flows] for k in range(len(demands))]
    pins = [(k, amount) for k, amount in enumerate(demands) if amount <= problem.threshold]
    rows = [[float(of == k and path == problem.paths(problem.demands[k])[0]) for of, path in flows] for k, _ in pins]
    found = linprog(-np.ones(len(flows)), upper, [*problem.links.values(), *demands], rows or None,
                    [amount for _, amount in pins] or None, method="highs")
    return -float(found.fun) if found.status == 0 else None


def test_the_papers_example_loses_100() -> None:
    optimal, pinning = PAPER.followers()
    x = with_pins((50, 100, 100), PAPER)
    assert (replay(pinning, x).value, replay(optimal, x).value) == pytest.approx((150, 250))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("problem", "levels", "gap"), [
    (PAPER, (0, 50, 100), 100), (LINE, (0, 5, 10), 5), (TRIANGLE, (0, 4, 10), 0), (CHAIN, (0, 6, 8), 12)])
def test_the_largest_gap_on_levels_is_known(problem: Pinning, levels: tuple[float, ...], gap: float,
                                            method: Method) -> None:
    answer = solve(problem.program(method, levels))
    inputs = [with_pins(each, problem) for each in itertools.product(levels, repeat=len(problem.demands))]
    optimal, pinning = problem.followers()
    assert answer.stopped == "proved"
    assert answer.objective == pytest.approx(gap)
    assert answer.bound == pytest.approx(gap, abs=1e-5)
    assert best([(1.0, optimal), (-1.0, pinning)], inputs) == pytest.approx(gap)


@pytest.mark.parametrize(("problem", "gap"), [(PAPER, 100), (LINE, 5), (CHAIN, 12)])
def test_continuous_demands_lose_no_more_in_these_topologies(problem: Pinning, gap: float) -> None:
    answer = solve(problem.program("kkt"))
    assert answer.stopped == "proved"
    assert answer.objective == pytest.approx(gap)


def test_the_benchmark_enters_directly_and_the_heuristic_is_rewritten() -> None:
    program = PAPER.program("kkt")
    assert program.forms == {"optimal": "direct", "pinning": "kkt"}


@pytest.mark.parametrize("problem", [PAPER, LINE, TRIANGLE, CHAIN])
def test_all_duals_of_pinning_are_at_most_one(problem: Pinning) -> None:
    program = problem.program("kkt")
    (rewritten,) = (each for each in program.followers if each.form == "kkt")
    assert max(each.ub for each in rewritten.block.dual.values()) <= 1.0
    assert set(rewritten.proofs) <= {"truncation", "polyhedron"}


@pytest.mark.parametrize("problem", [PAPER, LINE, TRIANGLE, CHAIN])
def test_pins_taken_off_capacities_are_the_heuristic_as_stated(problem: Pinning) -> None:
    levels = (0.0, problem.threshold / 2, problem.threshold, problem.most)
    _, pinning = problem.followers()
    for demands in itertools.product(levels, repeat=len(problem.demands)):
        assert optimum(pinning, with_pins(demands, problem)) == pytest.approx(as_stated(problem, demands)), demands


def test_pinned_demands_beyond_a_capacity_are_no_input() -> None:
    tight = Pinning({("a", "b"): 10}, [("a", "b")], threshold=20, most=40)
    optimal, pinning = tight.followers()
    with pytest.raises(NoOptimumError, match=r"pinning is infeasible at x = \[15"):
        replay(pinning, with_pins((15,), tight))
    for method in METHODS:
        answer = solve(tight.program(method, (0, 15, 40)))
        assert answer.objective == pytest.approx(0)
        assert answer.x is not None
        assert answer.x[0] != 15
    assert replay(optimal, with_pins((15,), tight)).value == pytest.approx(10)


def test_a_benchmark_may_be_rewritten_too() -> None:
    """An aligned follower gives the same answer either way."""
    for method in METHODS:
        program = LINE.program(method, (0, 5, 10))
        optimal, _ = LINE.followers()
        again = rewrite(program.model, optimal, program.leaders, method=method, levels=program.levels, name="again")
        program.model.same = pyo.Constraint(expr=again.value == program.followers[0].value)
        assert solve(program).objective == pytest.approx(5)


def test_eight_demands_on_a_ring_are_proved_on_levels_and_bounded_otherwise() -> None:
    """KKT needs far longer here (about a minute): what it has when stopped is an interval that holds the answer."""
    answer = solve(RING.program("primal-dual", (0, 8, 20)))
    assert answer.stopped == "proved"
    assert answer.objective == pytest.approx(16)
    early = solve(RING.program("kkt"), time_limit=1)
    assert early.stopped == "time-limit"
    assert early.bound >= 16 - 1e-6
    assert early.objective is None or early.objective <= early.bound


def test_a_program_that_claims_more_than_the_replay_is_not_reported() -> None:
    program = LINE.program("kkt", (0, 5, 10))
    direct, rewritten = program.followers
    with pytest.raises(ReplayError, match="follower pinning: the single-level program claims"):
        solve(replace(program, followers=(direct, replace(rewritten, value=rewritten.value - 1.0))))
