"""The exact search against trying everything: same optimum, legal schedules that attain it, same cost-to-go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, Place, State
from tests.generators import Case, Quota, small_case
from tests.independent.brute_force import BruteForce, Node
from tests.scale import scaled
from xplain.encodings.exact import CostToGo, solve

OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion")
MAX_STATES = scaled(8000, 25000, "bound on requests' joint positions in a brute-force case")


def questions(count: int) -> Iterator[tuple[Case, Objective, bool, BruteForce]]:
    """Seeded cases; objectives alternate, every third case demands that every ramp be consulted."""
    for seed in range(count):
        case = small_case(seed, MAX_STATES)
        objective, always = OBJECTIVES[seed % 2], seed % 3 == 0
        yield case, objective, always, BruteForce(case.workload, case.profile, case.config, objective, always)


def test_the_optimum_is_the_brute_force_optimum() -> None:
    """With quotas: at least a fifth of the cases (400 of 2,000) have each feature."""
    quota = Quota()
    for case, objective, always, judge in questions(count := scaled(250, 2000, "exact search = brute force")):
        quota.add(case)
        what = f"seed {case.seed}, {objective}, always_consult={always}"
        result = solve(case.workload, case.profile, case.config, objective, always_consult=always)
        assert result.interval.proved, what
        assert result.interval.upper == judge.optimum(), what
        assert carried_out(judge, case, result.schedule) == result.interval.upper, what
    quota.require(count // 5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("starts", (0, 1))
def test_parking_everybody_can_pay(objective: Objective, starts: int) -> None:
    """Nobody is ready at the ramp; still two deep passes of one row each are cheaper than one of two rows."""
    profile = CostProfile("steep", (1, 2), (SegmentCost((1, 1)), SegmentCost((1, 9))), (LinearCost(),), (starts,))
    workload = Workload.of(2, [Request(0, 0, 0, (2,)), Request(1, 0, 0, (2,))])
    best = BruteForce(workload, profile, ServerConfig(2, 2), objective).optimum()
    found = solve(workload, profile, ServerConfig(2, 2), objective).interval
    assert (found.lower, found.upper) == (best, best)


def carried_out(judge: BruteForce, case: Case, schedule: tuple[Action, ...]) -> int:
    """The objective of a schedule, every action checked to be legal."""
    node, paid = judge.initial(), 0
    for action in schedule:
        if node.phase is Phase.RAMP and action.kind not in (Kind.SPLIT, Kind.CONTINUE):
            cost, node = judge.apply(node, Action(Kind.SPLIT))  # all were ready: they leave unasked
            paid += cost
        legal = {(one.kind, one.pool, frozenset(one.rows or ())) for one in judge.actions(node)}
        assert (action.kind, action.pool, frozenset(action.rows or ())) in legal, (action, node)
        cost, node = judge.apply(node, action)
        paid += cost
    if node.phase is Phase.RAMP:
        cost, node = judge.apply(node, Action(Kind.SPLIT))
        paid += cost
    assert node.phase is Phase.END
    return paid - sum(request.arrival for request in case.workload.requests) * judge.per_request


def all_ready(judge: BruteForce, node: Node) -> bool:
    """A ramp where nobody stays behind: not a choice point of policies."""
    return node.phase is Phase.RAMP and judge.ready(node) == judge.members(node.rows, Place.RUNNING)


def random_walk(judge: BruteForce, random: Random) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Nodes of a random schedule, each with the completion times so far (-1: not yet)."""
    node, completed = judge.initial(), [-1] * len(judge.requests)
    while node.phase is not Phase.END:
        yield node, tuple(completed)
        action = random.choice(list(judge.actions(node)))
        before, (_, node) = node, judge.apply(node, action)
        parked = action.kind is Kind.SPLIT and not all_ready(judge, before)
        for i, row in enumerate(node.rows):
            if row.place == Place.DONE and completed[i] < 0:
                completed[i] = node.now - (judge.profile.rebatch if parked else 0)


def telling_nodes(judge: BruteForce, random: Random) -> list[tuple[Node, tuple[int, ...]]]:
    """Nodes of three random schedules: a few of any kind, a few where joins are near (rows are parked)."""
    nodes = [(node, completed) for _ in range(3) for node, completed in random_walk(judge, random)
             if not all_ready(judge, node)]
    joins = [pair for pair in nodes if pair[0].phase is Phase.JOIN]
    parked = [pair for pair in nodes if pair[0].phase is not Phase.JOIN and any(row.place > 1 for row in pair[0].rows)]
    return [pair for some in (nodes, joins, parked) for pair in random.sample(some, min(3, len(some)))]


def final_objective(judge: BruteForce, node: Node, completed: tuple[int, ...]) -> int:
    """The best objective of a whole run that has come to `node`."""
    ahead = judge.cost_to_go(node)
    if not judge.per_request:
        return node.now + ahead
    spent = (node.now if end < 0 else end for end in completed)
    return ahead + sum(end - request.arrival for end, request in zip(spent, judge.requests, strict=True))


def record(node: Node, completed: tuple[int, ...], random: Random) -> State:
    """A State record of `node`; what matters to policies only is filled with arbitrary values."""
    n = len(node.rows)
    waiting = tuple(random.randint(0, node.now) for _ in range(n))
    return State(
        now=node.now, phase=node.phase, segment=node.segment, place=tuple(int(row.place) for row in node.rows),
        emitted=tuple(row.emitted for row in node.rows), prefilled=tuple(row.prefilled for row in node.rows),
        entered=waiting, latched=tuple(node.segment if row.latched else 0 for row in node.rows), stamped=(-1,) * n,
        completed=completed, ages=tuple(random.randint(0, 3) for _ in range(8)))


def test_the_cost_to_go_is_the_brute_force_cost_to_go() -> None:
    """At random states of random schedules, in the middle of a pass too."""
    quota, phases = Quota(), Counter[Phase]()
    for case, objective, always, judge in questions(count := scaled(100, 1000, "walks, cost-to-go = brute force")):
        quota.add(case)
        random = Random(f"walk {case.seed}")
        costs = CostToGo(case.workload, case.profile, case.config, objective, always_consult=always)
        for node, completed in telling_nodes(judge, random):
            phases[node.phase] += 1
            found = costs.value(record(node, completed, random))
            what = f"seed {case.seed}, {objective}, always_consult={always}: {node}"
            expected = final_objective(judge, node, completed)
            assert (found.lower, found.upper) == (expected, expected), what
    quota.require(count // 5)
    print(dict(phases))
    assert min(phases[phase] for phase in (Phase.DECIDE, Phase.CONSULT, Phase.RAMP, Phase.JOIN)) > count // 20
