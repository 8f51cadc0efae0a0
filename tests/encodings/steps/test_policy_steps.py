"""A policy as terms takes the simulator's decisions at the simulator's times: evaluated, in z3 and in a MILP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import pyomo.environ as pyo
import pytest
import z3
from pyomo.contrib.solver.solvers.highs import Highs

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES
from drex_runtime.records import Request, ServerConfig, Workload
from drex_runtime.simulator import Log, simulate
from tests.encodings.steps.cases import PolicyCase, encode, policy_cases, used
from tests.generators import Quota
from tests.scale import scaled
from tests.xplain.tiny import PROFILE as TINY
from xplain.encodings.steps import Inputs, InputSpace, RequestSpace, Steps, unroll
from xplain.encodings.steps.chooser import PolicyChooser
from xplain.encodings.terms import Node, Terms, evaluate
from xplain.encodings.terms.milp import MilpModel
from xplain.encodings.terms.smt import SmtModel

pytestmark = pytest.mark.timeout(scaled(600, 3600, "seconds that a test of policy steps may take"))
Launched: TypeAlias = tuple[int, str, int, tuple[int, ...]]


def questions(steps: Steps) -> list[Node]:
    """The terms that tell a run's decisions."""
    return [node for step in steps.steps for node in (step.began, step.decision.prefill, *step.decision.fired.values(),
                                                      *(row for rows in step.decision.rows for row in rows))]


def decisions(steps: Steps, value: Callable[[Node], int]) -> list[Launched]:
    """(start, rule, pool, rows) of every launch, by the values of the terms of the steps."""
    found: list[Launched] = []
    for step in steps.steps:
        rules = [label for label, fired in step.decision.fired.items() if value(fired)]
        rows = [(pool, tuple(i for i, row in enumerate(picked) if value(row)))
                for pool, picked in enumerate(step.decision.rows, start=1)]
        running = [(pool, picked) for pool, picked in rows if picked]
        if running:
            found.append((value(step.began), rules[0], *running[0]))
    return found


def simulated(case: PolicyCase) -> list[Launched]:
    """The same of the reference simulator."""
    log = Log()
    simulate(case.policy, case.case.workload, log=log)
    return [(each.start, each.rule, each.pool, tuple(sorted(each.rows))) for each in log.launches if each.kind == "RUN"]


def test_terms_take_the_simulators_decisions() -> None:
    quota, seen = Quota(), Counter[str]()
    for case in islice(policy_cases(), scaled(120, 1200)):
        encoded = encode(case)
        steps = encoded.steps
        values = evaluate([steps.finished, steps.stuck, steps.makespan, steps.total_completion, *questions(steps)],
                          encoded.inputs.assignment(case.case.workload))
        assert values[steps.finished.index] and not values[steps.stuck.index], case.case.seed
        assert values[steps.makespan.index] == case.run.objective("makespan"), case.case.seed
        assert values[steps.total_completion.index] == case.run.objective("total-completion"), case.case.seed
        assert decisions(steps, partial(_evaluated, values)) == simulated(case), case.case.seed
        quota.add(case.case)
        used(seen, case)
    quota.require(scaled(20, 100, "policy steps: least of each feature"),
                  ("batch_max < n", "N < n", "arrivals", "prompts"))
    quota.require(scaled(20, 50, "policy steps: least with K = 2"), ("K = 2",))
    variables = {*GLOBAL_NAMES, *POOL_NAMES, *RAMP_NAMES}
    print({name: count for name, count in sorted(seen.items())})
    if scaled(0, 1, "variables of policies are counted"):
        assert not {name for name in variables if sum(count for other, count in seen.items()
                                                      if other.rstrip("_0123456789") == name) < 20}


def _evaluated(values: dict[int, int], node: Node) -> int:
    return int(values[node.index])


def test_solvers_take_the_simulators_decisions() -> None:
    """z3 admits the simulator's cost and no other; z3's and HiGHS' solutions hold the simulator's decisions."""
    both, smt = Quota(), Quota()
    for case in islice(policy_cases(100), scaled(25, 650)):
        encoded = encode(case)
        terms, steps = encoded.terms, encoded.steps
        encoded.inputs.fix(case.case.workload)
        terms.require(steps.finished)
        want, run = case.run.objective("total-completion"), simulated(case)
        model = SmtModel(terms)
        expressions = {node.index: model.expression(node) for node in questions(steps)}
        model.solver.push()
        model.solver.add(model.expression(steps.total_completion) != want)
        assert model.solver.check() == z3.unsat, case.case.seed
        model.solver.pop()
        model.solver.add(model.expression(steps.total_completion) == want)
        assert model.solver.check() == z3.sat, case.case.seed
        found = model.solver.model()
        assert decisions(steps, partial(_in_z3, found, expressions)) == run, case.case.seed
        smt.add(case.case)
        try:
            milp = MilpModel(terms, steps.total_completion, maximize=True)
            made = {node.index: milp.expression(node) for node in questions(steps)}
        except LimitError as error:
            assert "coarser quantum" in str(error)
            continue
        if milp.has_variables:
            Highs().solve(milp.model)
        assert round(pyo.value(milp.model.objective)) == want, case.case.seed
        assert decisions(steps, partial(_in_milp, made)) == run, case.case.seed
        both.add(case.case)
    print(f"z3: {smt}")
    if scaled(0, 1, "solvers: quotas are asked for"):
        assert both.cases >= 500
        both.require(100, ("batch_max < n", "N < n", "arrivals"))
        both.require(50, ("K = 2", "prompts"))


def _in_z3(found: Any, expressions: dict[int, Any], node: Node) -> int:
    value = found.eval(expressions[node.index], model_completion=True)
    return int(z3.is_true(value) if z3.is_bool(value) else value.as_long())


def _in_milp(made: dict[int, Any], node: Node) -> int:
    value: float = pyo.value(made[node.index])
    return round(value)


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
