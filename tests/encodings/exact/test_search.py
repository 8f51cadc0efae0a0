"""Properties of the exact search that need no second implementation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective, Phase, Place, State, initial_state, objective_value
from drex_runtime.simulator.mechanics import Machine
from tests.generators import Case, small_case
from tests.scale import scaled
from xplain.encodings.exact import CostToGo, Limits, solve
from xplain.encodings.exact import searcher as searcher_module
from xplain.encodings.exact.launches import admit
from xplain.encodings.exact.positions import position_of
from xplain.encodings.exact.searcher import Searcher

OBJECTIVES: tuple[Objective, ...] = ("makespan", "total-completion")
PROFILE = CostProfile("small", (1, 2, 4, 8), (SegmentCost((20, 21, 23, 26), 2), SegmentCost((18, 19, 20, 22), 1)),
                      (LinearCost(2, 1),), (9,), rebatch=3, kv_fill=LinearCost(1, 1))
COSTLY = CostProfile("costly", (4,), (SegmentCost((2**40,), 2**40, 2**40),) * 2, (LinearCost(),), (0,))


def cases(count: int) -> Iterator[tuple[Case, Objective, bool]]:
    for seed in range(count):
        yield small_case(seed + 10**6, 4000), OBJECTIVES[seed % 2], seed % 3 == 0


def random_workload(random: Random, n: int, tokens: int) -> Workload:
    requests = [Request(i, random.choice((0, random.randint(0, 40 * tokens))), 0,
                        tuple(random.choices((1, 2), k=random.randint(1, tokens)))) for i in range(n)]
    return Workload.of(2, requests)


def random_run(case: Case, random: Random) -> Iterator[State]:
    """All states of a run that makes random legal choices, any row sets included."""
    machine = Machine(case.workload, case.profile, case.config)
    while machine.phase != Phase.END:
        yield machine.snapshot()
        if machine.phase == Phase.DECIDE:
            machine.admit()
            choices = [pool for pool in range(1, machine.num_segments + 1) if pool in machine.place]
            choices += [0] * bool(machine.prefill_plan()) + [-1] * (machine.next_arrival() is not None)
            choice = random.choice(choices)
            if choice == 0:
                machine.prefill()
            elif choice == -1:
                machine.idle()
            else:
                machine.run(choice, _some(machine, choice, case.config.batch_max, 1, random))
        elif machine.phase == Phase.CONSULT:
            random.choice((machine.consult, machine.skip))()
        elif machine.phase == Phase.RAMP:
            random.choice((machine.split, machine.continue_))()
        else:
            room = case.config.batch_max - machine.place.count(Place.RUNNING)
            machine.join(_some(machine, machine.segment + 1, room, 0, random))
    yield machine.snapshot()


def _some(machine: Machine, pool: int, room: int, least: int, random: Random) -> tuple[int, ...]:
    rows = [row for row, place in enumerate(machine.place) if place == pool]
    return tuple(random.sample(rows, random.randint(least, min(room, len(rows)))))


def search_value(case: Case, objective: Objective, always: bool, dominance: bool) -> int:
    searcher = Searcher(case.workload, case.profile, case.config, objective, always_consult=always,
                        dominance=dominance)
    answer = searcher.answer(position_of(None, case.workload, searcher.instance.total), Limits(), 0)
    assert answer.stopped == "proved"
    return answer.upper


def test_dominance_changes_no_optimum() -> None:
    """The rules of `launches` are theorems: without them the optimum is the same."""
    for case, objective, always in cases(scaled(300, 3000, "exact search with and without dominance")):
        with_rules, without = (search_value(case, objective, always, rules) for rules in (True, False))
        assert with_rules == without, (case.seed, objective, always)


def test_dominance_changes_no_optimum_where_it_prunes_most() -> None:
    """Flat or affine costs, no prompts: the preconditions hold, rules (a) and (b) fire."""
    for seed in range(scaled(200, 2000, "dominance where its preconditions hold")):
        random = Random(seed)
        per_row, starts = random.choice((0, 0, 1, 3)), random.choice((0, 1, 4))
        shallow, deep = (SegmentCost((random.randint(least, 9),), per_row) for least in (4, 1))
        profile = CostProfile(
            "affine", (8,), (shallow, deep),
            (LinearCost(random.randint(0, 2), random.choice((0, 0, 1))),), (starts,), rebatch=random.choice((0, 2)),
            kv_fill=LinearCost(random.choice((0, 1)), random.choice((0, 0, 1, 2))))
        workload = random_workload(random, random.randint(2, 4), 3)
        config = ServerConfig(random.randint(1, 4), random.randint(2, 4))
        case, objective = Case(seed, workload, profile, config), OBJECTIVES[seed % 2]
        for always in (False, True):
            values = [search_value(case, objective, always, rules) for rules in (True, False)]
            assert values[0] == values[1], (seed, objective, always)


def test_lower_bounds_bound_and_values_never_fall_along_a_run() -> None:
    """At every state of random runs: bound <= V, V(after) >= V(before), and V(end) = the run's objective."""
    for case, objective, _ in cases(scaled(150, 1500, "random runs under the exact cost-to-go")):
        states = list(random_run(case, Random(case.seed)))
        values = CostToGo(case.workload, case.profile, case.config, objective).values(states)
        assert all(value.proved for value in values)
        assert all(before.upper <= after.upper for before, after in pairwise(values)), case.seed
        arrivals = tuple(request.arrival for request in case.workload.requests)
        assert values[-1].upper == objective_value(objective, states[-1].completed, arrivals, ())
        assert values[0] == solve(case.workload, case.profile, case.config, objective).interval
        fresh = Searcher(case.workload, case.profile, case.config, objective, always_consult=False)
        for state, value in zip(states[:-1], values, strict=False):
            position = position_of(state, case.workload, fresh.instance.total)
            if state.phase == Phase.DECIDE:
                admit(fresh.instance, position.codes, position.now)
                assert position.base + fresh.known(position)[0] <= value.lower, (case.seed, state)


def test_consulting_every_ramp_is_never_better() -> None:
    for case, objective, _ in cases(scaled(100, 1000, "always_consult >= free optimum")):
        free, bound = (solve(case.workload, case.profile, case.config, objective, always_consult=always).interval
                       for always in (False, True))
        assert bound.lower >= free.upper


def test_best_first_and_depth_first_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two ways to a proof, forced in turn on the same small cases; best first takes turns with beams early."""
    monkeypatch.setattr(searcher_module, "FIRST_WIDTH", 2)
    for case, objective, always in cases(scaled(100, 1000, "best first = depth first")):
        values = []
        for tokens, states in ((0, 2), (0, 10**6), (10**6, 0)):
            monkeypatch.setattr(searcher_module, "DEPTH_FIRST_TOKENS", tokens)
            monkeypatch.setattr(searcher_module, "FIRST_STATES", states)
            values.append(search_value(case, objective, always, True))
        assert values[0] == values[1] == values[2], (case.seed, objective, always)


def test_arrivals_spread_over_the_run_change_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five requests that come one after the other: where the bounds for requests to come (`scarce`, `late`) decide."""
    for seed in range(scaled(40, 400, "spread arrivals: with bounds for them = depth first without")):
        random = Random(seed)
        requests = []
        for i in range(5):
            prompt, depths = random.choice((0, 0, 5)), random.choices((1, 2), k=random.randint(2, 3))
            requests.append(Request(i, 30 * i + random.randint(0, 30), prompt, (2 if prompt else 1, *depths[1:])))
        workload = Workload.of(2, requests)
        config, objective = ServerConfig(random.randint(1, 4), random.randint(3, 5)), OBJECTIVES[seed % 2]
        found = solve(workload, PROFILE, config, objective).interval
        monkeypatch.setattr(searcher_module, "DEPTH_FIRST_TOKENS", 0)
        assert solve(workload, PROFILE, config, objective).interval == found, seed
        monkeypatch.undo()
        searcher = Searcher(workload, PROFILE, config, objective, always_consult=False, dominance=False)
        position = position_of(None, workload, searcher.instance.total)
        far = searcher.instance._replace(packing=np.zeros((1, 1, 1), np.int64))  # no table: neither packing nor scarce
        searcher.instance = far
        assert position.base + searcher.answer(position, Limits(), 0).upper == found.upper, seed


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_limits_give_valid_intervals(objective: Objective) -> None:
    """Whatever the limit, the optimum is inside, and only a closed interval is called proved."""
    for seed in range(scaled(6, 60, "intervals under limits")):
        workload, config = random_workload(Random(seed), 5, 5), ServerConfig(3, 5)
        best = solve(workload, PROFILE, config, objective).interval
        assert best.proved
        for limits in (Limits(nodes=0), Limits(nodes=3), Limits(nodes=200), Limits(seconds=0.0)):
            result = solve(workload, PROFILE, config, objective, limits=limits)
            assert result.interval.lower <= best.lower <= result.interval.upper
            assert (result.stopped == "proved") == result.interval.proved
            value = CostToGo(workload, PROFILE, config, objective, limits=limits).value(initial_state(5, 2))
            assert value.lower <= best.lower <= value.upper


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_large_problems_end_with_an_interval(objective: Objective) -> None:
    workload = random_workload(Random(1), 20, 12)
    result = solve(workload, PROFILE, ServerConfig(8, 16), objective, limits=Limits(seconds=0.3))
    assert 0 < result.interval.lower <= result.interval.upper and result.schedule


def test_several_questions_share_one_memo() -> None:
    """The second time a state is asked about, nothing is expanded."""
    workload, config = random_workload(Random(3), 4, 4), ServerConfig(2, 4)
    searcher = Searcher(workload, PROFILE, config, "makespan", always_consult=False)
    first = searcher.answer(position_of(None, workload, False), Limits(), 0)
    again = searcher.answer(position_of(None, workload, False), Limits(), 0)
    assert (first.upper, 0) == (again.upper, again.nodes)


def test_what_is_not_modelled_is_refused_by_name() -> None:
    workload = random_workload(Random(0), 3, 2)
    with pytest.raises(RecordError, match="objective = misses"):
        solve(workload, PROFILE, ServerConfig(2, 3), "misses")
    with pytest.raises(RecordError, match="prefill_tokens = 8"):
        CostToGo(workload, PROFILE, ServerConfig(2, 3, prefill_tokens=8), "makespan")
    with pytest.raises(LimitError, match="segments"):
        solve(Workload.of(3, [Request(0, 0, 0, (3,))]), PROFILE, ServerConfig(2, 3), "makespan")
    with pytest.raises(LimitError, match="requests"):
        solve(random_workload(Random(0), 70, 1), PROFILE, ServerConfig(2, 3), "makespan")
    with pytest.raises(LimitError, match="coarser tick"):
        solve(Workload.of(2, [Request(0, 0, 0, (2,) * 2000)]), COSTLY, ServerConfig(2, 3), "makespan")
    state = initial_state(3, 2)
    released = State(*(getattr(state, name) for name in State.__slots__[:8]), (5, -1, -1), state.completed, state.ages)
    with pytest.raises(RecordError, match="stamped"):
        CostToGo(workload, PROFILE, ServerConfig(2, 3), "makespan").value(released)


def test_keys_compare_in_full() -> None:
    """Requests with equal remaining depths share an entry only in the same pool."""
    workload = Workload.of(2, [Request(0, 0, 0, (2, 1)), Request(1, 0, 0, (1, 2, 1)), Request(2, 0, 0, (1,))])
    instance = Searcher(workload, PROFILE, ServerConfig(2, 3), "makespan", always_consult=False).instance
    assert instance.kind[0, 1] == instance.kind[1, 3] != instance.kind[0, 2]
    assert instance.kind[0, 3] == instance.kind[1, 5] == instance.kind[2, 1]
    assert not np.any(instance.kind[[0, 1, 2], instance.done])
