"""The lattice proves what enumeration proves; both sides are what they say they are on every input."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import highspy
import pytest

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import Workload
from drex_runtime.simulator import simulate
from tests.encodings.gap.cases import all_workloads, gap_cases
from tests.encodings.gap.tiny import idler, tiny_problem
from tests.generators import Quota
from tests.independent.brute_force import BruteForce
from tests.scale import scaled
from xplain.encodings.gap import Progress, enumerate_method
from xplain.encodings.gap.lattice import maximize, network
from xplain.encodings.gap.lattice.mps import write_mps
from xplain.encodings.gap.lattice.network import END, Gate, Network
from xplain.encodings.gap.lattice.policy_side import policy_network
from xplain.encodings.gap.lattice.schedule_side import schedule_network
from xplain.encodings.gap.watch import Watch


def test_it_proves_what_enumeration_proves() -> None:
    """Caps, fixed arrivals, prompts, K from 0 to 3, both objectives, both kinds of benchmark."""
    quota, seen = Quota(), Counter[str]()
    for each in islice(gap_cases(300, fixed=True), scaled(50, 300, "lattice = enumerate")):
        problem = each.problem
        try:
            expected = enumerate_method.maximize(problem)
        except PolicyError:
            with pytest.raises(PolicyError, match="fails on a workload of the space"):
                maximize(problem)
            seen["dead end"] += 1
            continue
        answer = maximize(problem)
        assert (answer.stopped, answer.lower) == (expected.stopped, expected.lower), each.seed
        assert answer.upper == expected.upper
        assert expected.stopped != "proved" or answer.proof == ("exact" if "one workload" in answer.detail
                                                                else "floating-point")
        quota.add(each.case)
        seen.update({problem.objective: 1, "policy benchmark": problem.benchmark is not None})
    print(seen)
    quota.require(scaled(8, 40), ("batch_max < n", "N < n", "arrivals", "prompts", "K = 2"))
    assert min(seen[name] for name in ("makespan", "total-completion", "policy benchmark")) >= scaled(5, 25)


def test_a_program_per_choice_of_arrivals_and_lengths_covers_open_ones() -> None:
    quota, several = Quota(), 0
    for each in islice(gap_cases(150), scaled(20, 200, "lattice with open arrivals and lengths = enumerate")):
        problem = each.problem
        try:
            expected = enumerate_method.maximize(problem)
        except PolicyError:
            with pytest.raises(PolicyError, match="fails on a workload of the space"):
                maximize(problem)
            continue
        heard: list[Progress] = []
        answer = maximize(problem, on_progress=heard.append)
        assert (answer.stopped, answer.lower, answer.upper) == (expected.stopped, expected.lower,
                                                                expected.upper), each.seed
        if "programs, one per choice" in answer.detail:
            several += 1
            assert all(item.upper is None for item in heard[:-1]) and heard[-1].upper == answer.upper
        quota.add(each.case)
    print(quota)
    assert several >= scaled(6, 60, "of them with several programs")


def test_a_time_limit_between_programs_leaves_no_bound() -> None:
    problem = tiny_problem("drex", 3, 3, batch_max=2, arrivals=(0, 30, 60))
    answer = maximize(problem, seconds=0.4)
    assert answer.stopped == "time-limit" and answer.upper is None and "of arrivals and lengths" in answer.detail


def test_cp_sat_proves_the_same_in_integers() -> None:
    for each in islice(gap_cases(60, fixed=True), scaled(6, 60, "lattice with CP-SAT = enumerate")):
        try:
            expected = enumerate_method.maximize(each.problem)
        except PolicyError:
            continue
        answer = maximize(each.problem, solver="cpsat", seconds=120)
        assert (answer.stopped, answer.lower, answer.upper) == (expected.stopped, expected.lower, expected.upper)
        assert expected.stopped != "proved" or answer.proof == "exact"


def open_costs(made: Network, workload: Workload) -> set[int]:
    """Costs of the paths whose gates a workload opens."""
    leaving: dict[int, list[tuple[int, int]]] = {}
    for arc in made.arcs:
        if all(_is_open(gate, workload) for gate in arc.gates):
            leaving.setdefault(arc.tail, []).append((arc.head, arc.cost))
    reached: dict[int, set[int]] = {END: {made.offset}}
    stack = [made.root]
    while stack:
        node = stack[-1]
        missing = [head for head, _ in leaving.get(node, []) if head not in reached]
        if missing:
            stack += missing
            continue
        if node not in reached:
            reached[node] = {total + cost for head, cost in leaving.get(node, []) for total in reached[head]}
        stack.pop()
    return reached[made.root]


def _is_open(gate: Gate, workload: Workload) -> bool:
    i, t, s = gate.bit
    return (workload.requests[i].depths[t] <= s) == gate.on


def test_the_policy_has_one_open_path_and_it_costs_what_the_simulator_says() -> None:
    paths = 0
    for each in islice(gap_cases(250, fixed=True), scaled(40, 300)):
        problem = each.problem
        try:
            made = policy_network(problem.policy, problem.space, problem.objective, Watch(None))
        except PolicyError:
            continue
        for workload in islice(all_workloads(problem.space), 60):
            expected = simulate(problem.policy, workload).objective(problem.objective)
            assert open_costs(made, workload) == {expected}, each.seed
            paths += 1
    assert paths >= scaled(500, 3000)


def test_the_cheapest_open_schedule_is_the_brute_force_optimum() -> None:
    checked = 0
    for each in islice(gap_cases(250, fixed=True), scaled(40, 300)):
        problem = each.problem
        made = schedule_network(problem.space, problem.profile, problem.config, problem.objective, Watch(None))
        for workload in islice(all_workloads(problem.space), 8):
            judge = BruteForce(workload, problem.profile, problem.config, problem.objective)
            assert min(open_costs(made, workload)) == judge.optimum(), each.seed
            checked += 1
    assert checked >= scaled(150, 900)


@pytest.mark.parametrize("pure_integer", [False, True])
def test_the_mps_file_is_the_same_program(pure_integer: bool, tmp_path: Path) -> None:
    problem = tiny_problem("drex", 3, 2, batch_max=2)
    model = network(problem)
    write_mps(model, tmp_path / "gap.mps", pure_integer=pure_integer)
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.readModel(str(tmp_path / "gap.mps"))
    solver.run()
    assert solver.getNumCol() == len(model.columns)
    assert round(-solver.getInfo().objective_function_value) * model.unit == enumerate_method.maximize(problem).lower


def test_equal_requests_are_ordered_where_they_may_be_exchanged() -> None:
    assert any(name.startswith("exchange") for name in network(tiny_problem("drex", 3, 2)).rows)
    assert not any(name.startswith("exchange") for name in network(tiny_problem("drex", 3, 2, batch_max=2)).rows)


def test_states_a_policy_cannot_tell_apart_are_merged() -> None:
    """Far fewer nodes than workloads: 2^9 of them here."""
    problem = tiny_problem("flush-now", 3, 3)
    made = policy_network(problem.policy, problem.space, problem.objective, Watch(None))
    assert made.num_nodes < 100


def test_what_it_does_not_cover_is_refused_by_name() -> None:
    problem = tiny_problem("drex", 2, 2, arrivals=(0, 5))
    with pytest.raises(LimitError, match="request 0 has 2 possible arrivals"):
        network(problem)
    requests = (replace(problem.space.requests[0], arrivals=(0,), lengths=(1, 2)),) * 2
    with pytest.raises(LimitError, match="request 0 has 2 possible lengths"):
        network(replace(problem, space=replace(problem.space, requests=requests)))
    with pytest.raises(LimitError, match="misses does not add up"):
        maximize(tiny_problem("drex", 2, 2, benchmark="no-exit", objective="misses", due=9))
    with pytest.raises(LimitError, match="expected one of auto, highs, cpsat, gurobi"):
        maximize(tiny_problem("drex", 2, 2), solver="cplex")
    forced = tiny_problem("drex", 2, 2)
    with pytest.raises(PolicyError, match="EXIT_ALL is for baselines"):
        maximize(replace(forced, policy=bind(shipped_policy("majority"), forced.profile, forced.config)))


def test_a_policy_that_idles_for_ever_is_reported_with_its_depths() -> None:
    with pytest.raises(PolicyError, match=r"fails on a workload of the space \(token 1 of request 0 .*idles for ever"):
        maximize(tiny_problem(idler(), 2, 3))


def test_a_time_limit_leaves_a_replayed_witness_and_a_bound() -> None:
    problem = tiny_problem("drex", 3, 3, batch_max=2)
    best = enumerate_method.maximize(problem).lower
    for seconds in (0.3, 0.5, 1.0, 2.0):
        answer = maximize(problem, seconds=seconds)
        assert best is not None
        assert answer.lower is None or answer.lower <= best
        assert answer.upper is None or answer.upper >= best
        assert answer.proved == (answer.lower == answer.upper == best)


def test_no_time_is_said_to_be_no_proof() -> None:
    answer = maximize(tiny_problem("drex", 2, 2), seconds=0)
    assert (answer.stopped, answer.lower, answer.upper) == ("time-limit", None, None)
