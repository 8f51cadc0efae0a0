"""The free schedule's least cost is the exact search's optimum (which is held to brute force elsewhere)."""

from __future__ import annotations

import pytest
import z3

from drex_runtime.scheduling.state import Objective
from tests.generators import Quota, small_case
from tests.scale import scaled
from xplain.encodings.exact import solve
from xplain.encodings.steps import Inputs, InputSpace, unroll
from xplain.encodings.steps.chooser import FreeChooser
from xplain.encodings.steps.machine import horizon
from xplain.encodings.terms import Terms
from xplain.encodings.terms.smt import SmtModel


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
