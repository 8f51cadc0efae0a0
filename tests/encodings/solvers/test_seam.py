"""Every solver answers alike: optimum, infeasible, out of time, nothing to choose; none is believed unchecked."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from drex_runtime.errors import LimitError, RecordError
from tests.encodings.terms.test_terms import random_graph
from tests.scale import scaled
from xplain.encodings.solvers import MissingSolverError, SolverMismatchError, SolverName, SolverProgress, solve
from xplain.encodings.solvers import cpsat as cpsat_module
from xplain.encodings.solvers.choose import BACK_ENDS, chosen
from xplain.encodings.solvers.highs import agreed, undecided
from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Seen
from xplain.encodings.solvers.rounding import integer_bound
from xplain.encodings.terms import Int, Terms, evaluate
from xplain.encodings.terms.milp import MilpModel

SOLVERS: tuple[SolverName, ...] = tuple(name for name, back_end in BACK_ENDS.items() if back_end.missing() is None)
EXACT = {"highs": "floating-point", "cpsat": "exact", "gurobi": "floating-point"}
every_solver = pytest.mark.parametrize("solver", SOLVERS)


def knapsack(seed: int, items: int = 12) -> tuple[Terms, Int]:
    """A value to maximise under two capacities."""
    random, terms = Random(seed), Terms()
    taken = [terms.boolean(f"item{i}") for i in range(items)]
    for name in ("weight", "volume"):
        sizes = [random.randint(1, 30) for _ in taken]
        load = terms.total(terms.times(size, one) for size, one in zip(sizes, taken, strict=True))
        terms.require(load <= sum(sizes) // 3, name)
    return terms, terms.total(terms.times(random.randint(1, 40), one) for one in taken) - 7


def best_by_hand(terms: Terms, goal: Int, maximize: bool) -> int | None:
    """Over all assignments of truth values."""
    names, best = list(terms.variables), None
    for code in range(2**len(names)):
        found = evaluate([goal, *(each for _, each in terms.required)],
                         {name: code >> at & 1 for at, name in enumerate(names)})
        if all(found[each.index] for _, each in terms.required):
            value = found[goal.index]
            best = value if best is None else max(best, value) if maximize else min(best, value)
    return best


@every_solver
@pytest.mark.parametrize("maximize", [False, True])
def test_the_optimum_is_found_and_proved(solver: SolverName, maximize: bool) -> None:
    for seed in range(scaled(2, 20)):
        terms, goal = knapsack(seed, 10)
        if not maximize:
            goal = terms.times(-1, goal) + 3
        result = solve(MilpModel(terms, goal, maximize=maximize), solver)
        assert result.stopped == "optimal" and result.proof == EXACT[solver]
        assert result.incumbent == result.bound == best_by_hand(terms, goal, maximize)
        assert result.values is not None and evaluate([goal], result.values)[goal.index] == result.incumbent
        assert BACK_ENDS[solver].name in result.solver and "was asked for" in result.detail


@every_solver
def test_terms_of_every_operation(solver: SolverName) -> None:
    for seed in range(scaled(3, 40)):
        terms, goal, values = random_graph(seed)
        for name, value in values.items():
            if name.startswith("x"):
                node = terms.variables[name]
                assert isinstance(node, Int)
                terms.require(node.equals(value))
        bools = [name for name in values if name.startswith("b")]
        want = max(evaluate([goal], values | {name: code >> at & 1 for at, name in enumerate(bools)})[goal.index]
                   for code in range(8))
        result = solve(MilpModel(terms, goal, maximize=True), solver)
        assert (result.stopped, result.incumbent, result.bound) == ("optimal", want, want), seed


@every_solver
def test_progress_is_told_and_logged(solver: SolverName, tmp_path: Path) -> None:
    seen: list[SolverProgress] = []
    terms, goal = knapsack(5, 40)
    result = solve(MilpModel(terms, goal, maximize=True), solver, log_folder=tmp_path, on_progress=seen.append)
    assert result.stopped == "optimal" and tuple(seen) == result.progress and seen
    assert seen[-1].incumbent == seen[-1].bound == result.incumbent
    assert result.log and Path(result.log).read_text("utf-8")
    found = [each.incumbent for each in seen if each.incumbent is not None]
    assert found == sorted(found), "only better points are reported"
    again = solve(MilpModel(terms, goal, maximize=True), solver, log_folder=tmp_path)
    assert again.log != result.log and again.incumbent == result.incumbent


@every_solver
def test_infeasible_is_a_proof(solver: SolverName) -> None:
    terms, goal = knapsack(1)
    terms.require(goal >= 60, "dear")
    terms.require(terms.total(one for one in terms.variables.values()) <= 1, "but few")
    result = solve(MilpModel(terms, goal, maximize=True), solver)
    assert (result.stopped, result.incumbent, result.proof) == ("infeasible", None, EXACT[solver])


@every_solver
def test_feasibility_has_no_objective(solver: SolverName) -> None:
    terms, goal = knapsack(2)
    terms.require(goal >= 50, "worth it")
    result = solve(MilpModel(terms), solver)
    assert (result.stopped, result.incumbent, result.bound) == ("optimal", 0, 0)
    assert result.values is not None and evaluate([goal], result.values)[goal.index] >= 50


@every_solver
def test_no_time_is_said(solver: SolverName) -> None:
    terms, goal = knapsack(3)
    result = solve(MilpModel(terms, goal, maximize=True), solver, seconds=0)
    assert (result.stopped, result.incumbent, result.bound, result.proof) == ("time-limit", None, None, None)
    assert "0 seconds" in result.detail


def market_split(seed: int) -> tuple[Terms, Int]:
    """Equations in binaries that branch and bound cannot decide quickly."""
    random, terms = Random(seed), Terms()
    taken = [terms.boolean(f"customer{i}") for i in range(50)]
    misses = []
    for row in range(6):
        sizes = [random.randint(0, 99) for _ in taken]
        miss = terms.integer(f"miss{row}", 0, 5000)
        share = terms.total(terms.times(size, one) for size, one in zip(sizes, taken, strict=True)) - sum(sizes) // 2
        terms.require((share <= miss) & (terms.times(-1, share) <= miss), f"row {row}")
        misses.append(miss)
    return terms, terms.total(misses)


@every_solver
def test_a_time_limit_leaves_incumbent_and_bound(solver: SolverName) -> None:
    terms, goal = market_split(0)
    result = solve(MilpModel(terms, goal), solver, seconds=3)
    assert result.stopped == "time-limit" and "limit" in result.detail
    assert result.incumbent is not None and result.bound is not None and result.bound < result.incumbent
    assert result.seconds < 9


@every_solver
def test_what_the_reader_raises_ends_the_solver(solver: SolverName) -> None:
    def enough(progress: SolverProgress) -> None:
        raise LookupError(f"at {progress.incumbent}")

    terms, goal = market_split(1)
    with pytest.raises(LookupError, match="at "):
        solve(MilpModel(terms, goal), solver, seconds=60, on_progress=enough)


def test_nothing_to_choose_takes_no_solver() -> None:
    terms = Terms()
    terms.boolean("unused")
    result = solve(MilpModel(terms, terms.constant(7), maximize=True), seconds=0)
    assert (result.stopped, result.incumbent, result.bound, result.solver) == ("optimal", 7, 7, "evaluation")
    assert result.values == {"unused": 0}


def test_what_bounds_exclude_is_named() -> None:
    terms = Terms()
    x = terms.integer("x", 0, 3)
    terms.require(x >= 4, "x is large")
    result = solve(MilpModel(terms, x))
    assert result.stopped == "infeasible" and "x is large" in result.detail


def test_bad_limits_and_missing_solvers_are_refused() -> None:
    terms, goal = knapsack(4)
    with pytest.raises(RecordError, match="0 or more seconds"):
        solve(MilpModel(terms, goal), seconds=-1)
    with (patch("xplain.encodings.solvers.gurobi.find_spec", return_value=None),
          pytest.raises(MissingSolverError, match="gurobipy is not installed: pip install gurobipy")):
        solve(MilpModel(terms, goal), "gurobi")
    assert "chosen: " in chosen("auto")[1]
    with (patch("xplain.encodings.solvers.cpsat.find_spec", return_value=None),
          patch("xplain.encodings.solvers.gurobi.find_spec", return_value=None)):
        assert chosen("auto")[0].name == "HiGHS"
        with (patch("xplain.encodings.solvers.highs.find_spec", return_value=None),
              pytest.raises(MissingSolverError, match="no solver is installed")):
            chosen("auto")


def test_large_numbers_are_refused() -> None:
    terms = Terms()
    x = terms.integer("x", 0, 2**40)
    with pytest.raises(LimitError, match="coarser quantum"):
        MilpModel(terms, x)


class Liar:
    """A back end that says what it is told to."""

    name, proof = "Liar", "exact"

    def __init__(self, *said: Seen | Ended) -> None:
        self.said = said

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return "1"

    def run(self, linear: Linear, order: Order) -> Generator[Seen | Ended, None, None]:
        yield from self.said


@pytest.mark.parametrize(("said", "complaint"), [
    ([Seen(point={"x": 3}), Ended("optimal", 3)], "breaks the constraint 'x is small'"),
    ([Seen(point={"x": 9}), Ended("optimal", 9)], "breaks a bound"),
    ([Seen(point={"x": 2}), Ended("optimal", 1)], "beats its bound"),
    ([Seen(point={"x": 2}), Ended("infeasible")], "nothing is feasible after"),
])
def test_an_answer_that_does_not_hold_is_an_error(said: list[Seen | Ended], complaint: str) -> None:
    terms = Terms()
    x = terms.integer("x", 0, 5)
    terms.require(x <= 2, "x is small")
    with patch.dict(BACK_ENDS, {"highs": Liar(*said)}), pytest.raises(SolverMismatchError, match=complaint):
        solve(MilpModel(terms, x, maximize=True), "highs")


def test_an_optimum_without_a_bound_is_not_believed() -> None:
    terms = Terms()
    x = terms.integer("x", 0, 5)
    terms.require(x <= 2, "x is small")
    with patch.dict(BACK_ENDS, {"highs": Liar(Seen(point={"x": 1}), Ended("optimal", 2))}):
        result = solve(MilpModel(terms, x, maximize=True), "highs")
    assert result.stopped == "failed" and "claims an optimum" in result.detail


def dying(tmp_path: Path, text: str) -> Callable[[], object]:
    """CP-SAT's process replaced by `text`."""
    worker = tmp_path / "worker.py"
    worker.write_text(text, "utf-8")
    return patch.object(cpsat_module, "WORKER", worker)  # type: ignore[return-value]


def test_a_process_that_dies_leaves_what_it_found(tmp_path: Path) -> None:
    terms = Terms()
    x = terms.integer("x", 0, 5)
    terms.require(x * 2 <= 9, "x is small")
    column = next(j for j, name in enumerate(Linear.of(MilpModel(terms, x, maximize=True)).names) if name == "x")
    said = ("import sys, json\n"
            f"print(json.dumps(dict(kind='incumbent', values={{'{column}': 3}})))\nprint(json.dumps(dict(kind='bound', "
            "bound=-5)), flush=True)\nprint('{\"kind\": \"inc', end='', flush=True)\n")
    with dying(tmp_path, said + "sys.exit('out of memory')"):  # type: ignore[attr-defined]
        result = solve(MilpModel(terms, x, maximize=True), "cpsat", seconds=20)
    assert (result.stopped, result.incumbent, result.bound) == ("failed", 3, 5)
    assert "out of memory" in result.detail
    with dying(tmp_path, said + "import time; time.sleep(60)"), patch.object(cpsat_module, "GRACE", 0.1):  # type: ignore[attr-defined]
        result = solve(MilpModel(terms, x, maximize=True), "cpsat", seconds=1)
    assert (result.stopped, result.incumbent, result.bound) == ("time-limit", 3, 5)
    assert "was killed" in result.detail and result.seconds < 20


def test_bounds_are_rounded_away_from_the_optimum() -> None:
    terms, goal = knapsack(6)
    up, down = (Linear.of(MilpModel(terms, goal, maximize=maximize)) for maximize in (True, False))
    assert [integer_bound(up, bound) for bound in (11.9999999, 12.0000001, 12.9, float("inf"))] == [12, 12, 12, None]
    assert [integer_bound(down, bound) for bound in (11.9999999, 12.0000001, 12.1)] == [12, 12, 13]


def test_a_claim_of_highs_counts_only_if_two_runs_make_it() -> None:
    good, other, none = Ended("optimal", 12), Ended("optimal", 14), Ended("infeasible")
    late = Ended("time-limit", 9, "time limit")
    assert agreed([good], False) is None and agreed([good, other], True) is None
    assert agreed([good, good], True) == good and agreed([good, other, good], True) == good
    assert agreed([none, none], False) == none and agreed([none, none], True) is None  # a point refutes it
    for claims, points in (([good, other, late], True), ([none, good], True), ([none, none, none], True)):
        said = undecided(claims, points)
        assert (said.stopped, said.bound) == ("failed", None) and "contradicts itself" in said.detail
    alone = undecided([good, late], True)
    assert (alone.stopped, alone.bound) == ("time-limit", None) and "one run says optimal" in alone.detail
    assert undecided([late], True) == late
