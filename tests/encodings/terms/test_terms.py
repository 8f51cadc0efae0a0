"""Terms: random graphs have one value, evaluated, in z3 or in a MILP; bounds hold; folds are right."""

from __future__ import annotations

from random import Random

import pyomo.environ as pyo
import pytest
import z3
from pyomo.contrib.solver.solvers.highs import Highs

from drex_runtime.errors import LimitError
from tests.scale import scaled
from xplain.encodings.terms import Bool, Int, TermError, Terms, evaluate
from xplain.encodings.terms.milp import MilpModel
from xplain.encodings.terms.smt import SmtModel


def random_graph(seed: int) -> tuple[Terms, Int, dict[str, int]]:
    """Terms of every operation over three integers and three truth values, a sum of them, and an assignment."""
    random, terms = Random(seed), Terms()
    ints = [terms.integer(f"x{i}", -random.randint(0, 4), random.randint(1, 5)) for i in range(3)]
    bools = [terms.boolean(f"b{i}") for i in range(3)]
    values = {name: random.randint(node.low, node.high) for name, node in terms.variables.items()}
    for _ in range(25):
        (a, b), (p, q) = random.choices(ints, k=2), random.choices(bools, k=2)
        match random.randrange(10):
            case 0:
                ints.append(a + b * random.randint(-2, 2) + random.randint(-3, 3) + p)
            case 1:
                ints.append(terms.if_(p, a, b))
            case 2 if max(abs(a.low), a.high, abs(b.low), b.high) < 200:
                ints.append(terms.product(a, b))
            case 3:
                at = terms.minimum(terms.maximum(a, 0), 4)
                ints.append(terms.table(at, [random.randint(-5, 9) for _ in range(5)]))
            case 4:
                ints.append(terms.minimum(a, b))
            case 5:
                ints.append(terms.maximum(a, b))
            case 6:
                ints.append(terms.quotient(a, random.randint(1, 4)))
            case 7:
                bools.append((a <= b) if random.random() < 0.5 else a.equals(b))
            case 8:
                bools.append(p & ~q)
            case 9:
                bools.append(p | q)
    return terms, terms.total((*ints[-3:], *bools[-2:])), values


def fixed(terms: Terms, values: dict[str, int]) -> None:
    """Require the assignment."""
    for name, node in list(terms.variables.items()):
        value = values[name]
        terms.require(node.equals(value) if isinstance(node, Int) else (node if value else ~node))


@pytest.mark.parametrize("seed", range(scaled(40, 400)))
def test_evaluation_z3_and_milp_agree(seed: int) -> None:
    terms, goal, values = random_graph(seed)
    want = evaluate([goal], values)[goal.index]
    fixed(terms, values)
    model = SmtModel(terms)
    model.solver.add(model.expression(goal) != want)
    assert model.solver.check() == z3.unsat
    model = SmtModel(terms)
    model.solver.add(model.expression(goal) == want)
    assert model.solver.check() == z3.sat
    assert model.values(model.solver.model()) == values
    for maximize in (False, True):
        milp = MilpModel(terms, goal, maximize=maximize)
        Highs().solve(milp.model)
        assert round(pyo.value(milp.model.objective)) == want
        assert milp.values() == values


def test_what_bounds_decide_is_folded() -> None:
    terms = Terms()
    x, y = terms.integer("x", 0, 3), terms.boolean("y")
    assert (x <= 3) is terms.true and (x > 3) is terms.false
    assert terms.if_(y, x, x) is x
    assert (terms.number(y) >= 1) is y and (terms.number(y) <= 0) is ~y
    assert (y & ~y) is terms.false and (y | ~y) is terms.true
    assert terms.table(x, [1, 3, 5, 7]).op == "sum"
    assert (x * 4 <= 6) is (x <= 1), "a comparison is divided by what its factors share"


def test_a_wide_comparison_is_taken_case_by_case() -> None:
    terms = Terms()
    due, x = terms.boolean("due"), terms.integer("x", 0, 50)
    slack = terms.if_(due, x, 2**52)
    urgent = slack <= 20
    for has, left, want in ((1, 10, 1), (1, 21, 0), (0, 0, 0)):
        assert evaluate([urgent], {"due": has, "x": left})[urgent.index] == want
    terms.require(urgent)
    milp = MilpModel(terms, x, maximize=True)
    Highs().solve(milp.model)
    assert milp.values() == {"due": 1, "x": 20}


def test_what_does_not_fit_is_refused_by_name() -> None:
    terms = Terms()
    x = terms.integer("x", 0, 2**40)
    terms.name(x * 3, "three_x")
    with pytest.raises(TermError, match="exists already"):
        terms.integer("x", 0, 1)
    with pytest.raises(TermError, match=r"beyond 2\^70"):
        terms.times(2**31, x)
    with pytest.raises(TermError, match="table of 2 values"):
        terms.table(x, [1, 2])
    with pytest.raises(LimitError, match="coarser quantum"):
        MilpModel(terms, x)
    with pytest.raises(TermError, match="has no value"):
        evaluate([x], {})


def test_truth_values_are_numbers() -> None:
    terms = Terms()
    y = terms.boolean("y")
    assert isinstance(y, Bool)
    assert evaluate([terms.total((y, y, 1))], {"y": 1})[terms.total((y, y, 1)).index] == 3
