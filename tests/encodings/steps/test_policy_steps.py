"""A policy as terms takes the simulator's decisions at the simulator's times: evaluated, in z3 and in a MILP."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pyomo.environ as pyo
import pytest
import z3
from pyomo.contrib.solver.solvers.highs import Highs

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES
from drex_runtime.records import Request, ServerConfig, Workload
from drex_runtime.simulator import Log, simulate
from tests.encodings.steps.cases import Encoded, PolicyCase, encode, policy_cases, used
from tests.generators import Quota
from tests.scale import scaled
from tests.xplain.tiny import PROFILE as TINY
from xplain.encodings.steps import Inputs, InputSpace, RequestSpace, unroll
from xplain.encodings.steps.chooser import PolicyChooser
from xplain.encodings.terms import Terms, evaluate
from xplain.encodings.terms.milp import MilpModel
from xplain.encodings.terms.smt import SmtModel


def decisions(case: PolicyCase, encoded: Encoded) -> list[tuple[int, str, int, tuple[int, ...]]]:
    """(start, rule, pool, rows) of every launch, read from the terms of the steps."""
    steps = encoded.steps.steps
    roots = [node for step in steps for node in (step.began, step.decision.prefill, *step.decision.fired.values(),
                                                 *(row for rows in step.decision.rows for row in rows))]
    values, found = evaluate(roots, encoded.inputs.assignment(case.case.workload)), []
    for step in steps:
        rules = [label for label, fired in step.decision.fired.items() if values[fired.index]]
        rows = [(pool, tuple(i for i, row in enumerate(picked) if values[row.index]))
                for pool, picked in enumerate(step.decision.rows, start=1)]
        running = [(pool, picked) for pool, picked in rows if picked]
        if running:
            found.append((values[step.began.index], rules[0], *running[0]))
    return found


def test_terms_take_the_simulators_decisions() -> None:
    quota, seen = Quota(), Counter[str]()
    for case in islice(policy_cases(), scaled(120, 2000)):
        encoded = encode(case)
        steps = encoded.steps
        values = evaluate([steps.finished, steps.stuck, steps.makespan, steps.total_completion],
                          encoded.inputs.assignment(case.case.workload))
        assert values[steps.finished.index] and not values[steps.stuck.index], case.case.seed
        assert values[steps.makespan.index] == case.run.objective("makespan"), case.case.seed
        assert values[steps.total_completion.index] == case.run.objective("total-completion"), case.case.seed
        log = Log()
        simulate(case.policy, case.case.workload, log=log)
        assert decisions(case, encoded) == [(each.start, each.rule, each.pool, tuple(sorted(each.rows)))
                                            for each in log.launches if each.kind == "RUN"], case.case.seed
        quota.add(case.case)
        used(seen, case)
    quota.require(scaled(20, 100), ("batch_max < n", "N < n", "arrivals", "prompts"))
    quota.require(scaled(20, 50), ("K = 2",))
    variables = {*GLOBAL_NAMES, *POOL_NAMES, *RAMP_NAMES}
    print({name: count for name, count in sorted(seen.items())})
    if scaled(0, 1, "variables of policies are counted"):
        assert not {name for name in variables if sum(count for other, count in seen.items()
                                                      if other.rstrip("_0123456789") == name) < 20}


def test_solvers_find_the_simulators_cost() -> None:
    quota = Quota()
    for case in islice(policy_cases(100), scaled(25, 500)):
        encoded = encode(case)
        terms, steps = encoded.terms, encoded.steps
        encoded.inputs.fix(case.case.workload)
        terms.require(steps.finished)
        want = case.run.objective("total-completion")
        model = SmtModel(terms)
        model.solver.add(model.expression(steps.total_completion) != want)
        assert model.solver.check() == z3.unsat, case.case.seed
        model = SmtModel(terms)
        model.solver.add(model.expression(steps.total_completion) == want)
        assert model.solver.check() == z3.sat, case.case.seed
        if steps.total_completion.value is None:
            try:
                milp = MilpModel(terms, steps.total_completion, maximize=True)
            except LimitError as error:
                assert "coarser quantum" in str(error)
                continue
            Highs().solve(milp.model)
            assert round(pyo.value(milp.model.objective)) == want, case.case.seed
        quota.add(case.case)
    print(quota)


def test_an_answer_is_read_by_the_names_of_rules() -> None:
    policy = bind(shipped_policy("drex"), TINY, ServerConfig(2, 3))
    terms = Terms()
    inputs = Inputs(terms, InputSpace(2, (RequestSpace((2,)),) * 3))
    unroll("drex", terms, inputs, TINY, policy.config, PolicyChooser("drex", terms, inputs, policy))
    assert {"drex_decode_0", "drex_flush_size@2_1", "drex_split@1_0"} <= set(terms.names.values())


def test_lengths_and_arrivals_are_variables() -> None:
    """One encoding, many workloads of its space."""
    policy = bind(shipped_policy("flush-now"), TINY, ServerConfig(2, 2))
    terms, space = Terms(), InputSpace(2, (RequestSpace((1, 2)), RequestSpace((1, 3), (0, 5, 9))))
    inputs = Inputs(terms, space)
    steps = unroll("H", terms, inputs, TINY, policy.config, PolicyChooser("H", terms, inputs, policy))
    for first in ((1,), (2, 1)):
        for arrival in (0, 5, 9):
            for second in ((2,), (1, 2, 1)):
                workload = Workload.of(2, [Request(0, 0, 0, first), Request(1, arrival, 0, second)], tick=TINY.tick)
                values = inputs.assignment(workload)
                found = evaluate([steps.makespan, *(condition for _, condition in terms.required)], values)
                assert all(found[condition.index] for _, condition in terms.required)
                assert found[steps.makespan.index] == simulate(policy, workload).makespan
                assert inputs.workload(values).requests == workload.requests


def test_baselines_and_limits_are_refused() -> None:
    terms = Terms()
    inputs = Inputs(terms, InputSpace(2, (RequestSpace((2,)),)))
    with pytest.raises(PolicyError, match="EXIT_ALL is for baselines"):
        PolicyChooser("H", terms, inputs, bind(shipped_policy("majority"), TINY, ServerConfig(1, 1)))
    config = ServerConfig(1, 1, prefill_tokens=4)
    chooser = PolicyChooser("H", terms, inputs, bind(shipped_policy("drex"), TINY, config))
    with pytest.raises(LimitError, match="unlimited prefill_tokens"):
        unroll("H", terms, inputs, TINY, config, chooser)
