"""The free schedule's least cost, in z3 and as a MILP, is the exact search's optimum and that of brute force."""

from __future__ import annotations

import pytest
import z3

from drex_runtime.scheduling.state import Objective
from tests.generators import Quota, small_case
from tests.independent.brute_force import BruteForce
from tests.scale import scaled
from xplain.encodings.exact import solve
from xplain.encodings.solvers import solve as solve_milp
from xplain.encodings.steps import Inputs, InputSpace, unroll
from xplain.encodings.steps.chooser import FreeChooser
from xplain.encodings.steps.machine import horizon
from xplain.encodings.terms import Terms
from xplain.encodings.terms.milp import MilpModel
from xplain.encodings.terms.smt import SmtModel

pytestmark = pytest.mark.timeout(scaled(600, 3600, "seconds that a test of optimal steps may take"))


@pytest.mark.parametrize("objective", ["makespan", "total-completion"])
def test_no_schedule_is_better_and_one_is_as_good(objective: Objective) -> None:
    quota, seed = Quota(), 0
    while quota.cases < scaled(12, 125):
        case = small_case(seed, 60)
        seed += 1
        if horizon(Inputs(Terms(), InputSpace.around(case.workload))) > scaled(6, 8):
            continue
        optimum = solve(case.workload, case.profile, case.config, objective).interval
        assert optimum.lower == optimum.upper
        terms = Terms()
        inputs = Inputs(terms, InputSpace.around(case.workload))
        steps = unroll("OPT", terms, inputs, case.profile, case.config, FreeChooser("OPT", terms, inputs, case.config))
        inputs.fix(case.workload)
        terms.require(steps.finished)
        model = SmtModel(terms)
        cost = model.expression(steps.cost(objective))
        model.solver.push()
        model.solver.add(cost < optimum.lower)
        assert model.solver.check() == z3.unsat, case.seed
        model.solver.pop()
        model.solver.add(cost == optimum.lower)
        assert model.solver.check() == z3.sat, case.seed
        quota.add(case)
    print(quota)


@pytest.mark.parametrize("objective", ["makespan", "total-completion"])
def test_the_milps_optimum_is_that_of_exact_search_and_brute_force(objective: Objective) -> None:
    """HiGHS says nothing wrong: where its runs contradict each other (see `encodings.solvers.highs`) it says so, and
    CP-SAT proves the optimum of the same program."""
    quota, seed, undecided = Quota(), 0, 0
    while quota.cases < scaled(8, 260):
        case = small_case(seed, 60)
        seed += 1
        if horizon(Inputs(Terms(), InputSpace.around(case.workload))) > scaled(5, 7):
            continue
        best = BruteForce(case.workload, case.profile, case.config, objective).optimum()
        optimum = solve(case.workload, case.profile, case.config, objective).interval
        assert (optimum.lower, optimum.upper) == (best, best), case.seed
        terms = Terms()
        inputs = Inputs(terms, InputSpace.around(case.workload))
        steps = unroll("OPT", terms, inputs, case.profile, case.config, FreeChooser("OPT", terms, inputs, case.config))
        inputs.fix(case.workload)
        terms.require(steps.finished)
        milp = MilpModel(terms, steps.cost(objective))
        result = solve_milp(milp, "highs", threads=1)
        if result.stopped == "failed":
            assert "contradicts itself" in result.detail and result.bound is None and result.proof is None, case.seed
            undecided, result = undecided + 1, solve_milp(milp, "cpsat", threads=1)
        assert (result.stopped, result.incumbent, result.bound) == ("optimal", best, best), case.seed
        quota.add(case)
    print(f"{quota}; left undecided by HiGHS: {undecided}")
    assert undecided <= quota.cases / 50
    if scaled(0, 1, "optimum: quotas are asked for"):
        quota.require(50, ("batch_max < n", "N < n", "arrivals"))  # of each of two objectives
        quota.require(25, ("K = 2", "prompts"))
