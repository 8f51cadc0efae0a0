"""The proof stage: climbs as far as the means allow, keeps what holds, and no sample may contradict it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drex_runtime.errors import LimitError
from drex_runtime.records import Request, Workload
from drex_runtime.scheduling.state import Objective
from tests.scale import scaled
from tests.xplain.tiny import PROFILE, analyse_tiny, tiny_request
from xplain.encodings.gap import GapAnswer, GapProblem, Progress, ReplayedGap
from xplain.problems.exact import ExactProblem
from xplain.records import ProofSolver
from xplain.request import exact_problem
from xplain.worst_case import COUNTED_INPUTS, Means, rung_of, space_of, worst_cases

if TYPE_CHECKING:
    from xplain.encodings.gap.answer import Stopped

COUNTED = Means("enumerate", "auto", None)


def tiny_exact(requests: int = 3, tokens: int = 2) -> ExactProblem:
    return exact_problem(tiny_request(requests=requests, tokens=tokens), PROFILE)


def listed(problem: GapProblem) -> list[Workload]:
    """Every workload of a problem's space, the plain way."""
    options = [[(arrival, depths) for arrival in each.arrivals
                for depths in product(range(1, problem.space.num_segments + 1), repeat=each.lengths[0])]
               for each in problem.space.requests]
    return [Workload.of(problem.space.num_segments, [Request(i, arrival, 0, depths) for i, (arrival, depths)
                                                     in enumerate(chosen)], tick=problem.space.tick)
            for chosen in product(*options) if sorted(chosen, key=lambda item: item[0]) == list(chosen)]


class ByHand:
    """A `maximize` that replays everything; spaces of `stop_at` requests are cut off, the bound `slack` too high."""

    def __init__(self, stop_at: int = 99, slack: int = 10) -> None:
        self.stop_at, self.slack = stop_at, slack
        self.calls: list[tuple[str, str, float | None]] = []

    def __call__(self, problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                 on_progress: Callable[[Progress], None] | None = None) -> GapAnswer:
        self.calls.append((method, solver, seconds))
        found: list[ReplayedGap] = [problem.replay(workload) for workload in listed(problem)]
        best = max(found, key=lambda item: item.gap)
        cut = len(problem.space.requests) >= self.stop_at
        stopped: Stopped = "time-limit" if cut else "proved"
        witness, upper = (found[0], best.gap + self.slack) if cut else (best, best.gap)
        if on_progress is not None:
            on_progress(Progress(0.1, witness.gap, upper))
        return GapAnswer("enumerate", "enumeration", stopped, witness, upper, "exact", 0.1, "by hand",
                         (Progress(0.1, witness.gap, upper),))


def test_it_climbs_both_ladders_and_keeps_the_largest_proved_spaces() -> None:
    problem, told = tiny_exact(2, 2), list[str]()
    cases, notes = worst_cases(problem, COUNTED, (), told.append, ByHand())
    assert notes == () and told
    assert [(case.requests, case.open_arrivals, case.proved) for case in cases] == [(2, False, True), (2, True, True)]
    for case in cases:
        rung = rung_of(problem, case.requests, case.open_arrivals)
        gap = GapProblem(space_of(problem, rung), problem.bound, objective=problem.objective)
        workload = Workload.of(problem.profile.num_segments, [
            Request(i, arrival, 0, depths) for i, (arrival, depths) in enumerate(zip(case.arrivals, case.depths,
                                                                                     strict=True))], tick="ns")
        assert gap.replay(workload).gap == case.lower == case.upper
        assert case.heuristic is not None and case.benchmark is not None
        assert case.relative_gap == case.lower / case.benchmark
    assert cases[1].lower is not None and cases[0].lower is not None and cases[1].lower >= cases[0].lower


def test_a_rung_that_is_not_proved_ends_the_ladder_and_is_kept_as_a_bound() -> None:
    cases, _ = worst_cases(tiny_exact(3, 1), COUNTED, (), lambda _: None, ByHand(stop_at=2))
    assert [(case.requests, case.open_arrivals, case.stopped) for case in cases] == [
        (1, False, "proved"), (2, False, "time-limit"), (1, True, "proved"), (2, True, "time-limit")]
    for case in cases:
        assert case.upper is not None and case.lower is not None and (case.lower < case.upper) != case.proved


@pytest.mark.parametrize("slack", [0, 10])
def test_the_search_supplies_the_witness_where_the_method_was_cut_off(slack: int) -> None:
    """Its worst sample is a lower bound like any other; if it meets the upper one, the case is proved."""
    problem = tiny_exact(2, 2)
    gap = GapProblem(space_of(problem, rung_of(problem, 2, True)), problem.bound, objective=problem.objective)
    worst = max(listed(gap), key=lambda workload: gap.replay(workload).gap)
    point = {f"a{i}": float(request.arrival // problem.grid) for i, request in enumerate(worst.requests)}
    point |= {f"l{i}": 2.0 for i in range(2)}
    point |= {f"d{i}.{t}": float(depth) for i, request in enumerate(worst.requests)
              for t, depth in enumerate(request.depths)}
    sample = problem.evaluate(point, 0, "annealing")
    cases, _ = worst_cases(problem, COUNTED, (sample,), lambda _: None, ByHand(stop_at=2, slack=slack))
    case = cases[-1]
    assert case.lower == sample.gap == gap.replay(worst).gap
    assert case.depths == tuple(request.depths for request in worst.requests)
    assert case.proved == (slack == 0)


def test_a_sample_beyond_a_bound_is_a_defect_and_stops_the_analysis() -> None:
    problem = tiny_exact(2, 2)
    samples = [problem.evaluate(problem.draw(np.random.default_rng(k)), k, "random") for k in range(60)]
    assert any(sample.gap > 0 for sample in samples)

    def too_low(problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                on_progress: Callable[[Progress], None] | None = None) -> GapAnswer:
        answer = ByHand()(problem)
        alone = len(problem.space.requests) == 1
        return answer if alone else replace(answer, witness=None, upper=0, stopped="time-limit")

    with pytest.raises(ArithmeticError, match="no gap exceeds 0"):
        worst_cases(problem, COUNTED, samples, lambda _: None, too_low)


def test_samples_of_other_sizes_say_nothing_about_a_space() -> None:
    problem = tiny_exact(2, 2)
    point = problem.draw(np.random.default_rng(0))
    shorter = problem.evaluate({**point, "l1": 1.0}, 0, "annealing")
    high = replace(shorter, heuristic=shorter.heuristic * 100)
    cases, _ = worst_cases(problem, COUNTED, (high,), lambda _: None, ByHand())
    assert all(case.proved for case in cases)


def test_without_a_limit_in_seconds_the_count_is_the_limit_and_what_is_left_out_is_said() -> None:
    problem = tiny_exact(5, 4)
    assert rung_of(problem, 5, False).inputs == 15_504 <= COUNTED_INPUTS
    assert rung_of(problem, 3, True).inputs > COUNTED_INPUTS >= rung_of(problem, 2, True).inputs
    calls = list[int]()

    def counted(problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                on_progress: Callable[[Progress], None] | None = None) -> GapAnswer:
        calls.append(len(problem.space.requests))
        return GapAnswer("enumerate", "enumeration", "proved", None, 0, "exact", 0.0)

    _, notes = worst_cases(problem, COUNTED, (), lambda _: None, counted)
    assert calls == [1, 2, 3, 4, 5, 1, 2]
    assert len(notes) == 1 and "88,560" in notes[0] and "3 requests of 4 tokens" in notes[0]


def test_no_time_is_said() -> None:
    cases, notes = worst_cases(tiny_exact(), Means("auto", "auto", 0.0), (), lambda _: None, ByHand())
    assert cases == () and len(notes) == 2 and all("no time left" in note for note in notes)


def test_blackbox_proves_nothing_and_says_so() -> None:
    by_hand = ByHand()
    cases, notes = worst_cases(tiny_exact(), Means("blackbox", "auto", 9.0), (), lambda _: None, by_hand)
    assert cases == () and "nothing proved" in notes[0] and by_hand.calls == []


def test_milp_is_the_lattice_or_where_it_does_not_apply_the_steps() -> None:
    by_hand = ByHand()

    def no_lattice(problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                   on_progress: Callable[[Progress], None] | None = None) -> GapAnswer:
        answer = by_hand(problem, method, solver, seconds, on_progress)
        if method == "lattice" and len(problem.space.requests) == 2:
            raise LimitError("too many states")
        return answer

    cases, notes = worst_cases(tiny_exact(2, 1), Means("milp", "highs", 60.0), (), lambda _: None, no_lattice)
    assert notes == ()
    assert [call[:2] for call in by_hand.calls][:3] == [("lattice", "highs"), ("lattice", "highs"), ("steps", "highs")]
    assert all(call[2] is not None and call[2] <= 60 for call in by_hand.calls)
    assert "too many states" in cases[0].detail


def test_what_a_method_cannot_do_is_a_note_not_the_end_of_the_analysis() -> None:
    def refuses(problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                on_progress: Callable[[Progress], None] | None = None) -> GapAnswer:
        raise LimitError("prompts are not encoded")

    cases, notes = worst_cases(tiny_exact(), COUNTED, (), lambda _: None, refuses)
    assert cases == () and all("prompts are not encoded" in note for note in notes) and len(notes) == 2


@pytest.mark.parametrize(("requests", "tokens", "open_arrivals"), [(1, 3, False), (2, 2, True), (3, 2, False)])
def test_the_number_of_workloads_is_counted_right(requests: int, tokens: int, open_arrivals: bool) -> None:
    problem = tiny_exact(3, tokens)
    rung = rung_of(problem, requests, open_arrivals)
    gap = GapProblem(space_of(problem, rung), problem.bound, objective=problem.objective)
    assert problem.bound.batch_limit >= requests
    unnamed = {tuple(sorted((each.arrival, each.depths) for each in workload.requests)) for workload in listed(gap)}
    assert rung.inputs == len(unnamed) == len(list(combinations_with_replacement(
        range((5 if open_arrivals else 1) * 2 ** tokens), requests)))


@pytest.mark.parametrize("solver", ["highs", "cpsat"])
@pytest.mark.parametrize("objective", ["makespan", "total-completion"])
def test_naming_a_solver_takes_it_and_proves_what_enumeration_proves(solver: ProofSolver, objective: Objective) -> None:
    size = scaled(2, 3)
    for requests, tokens, policy in ((2, 2, "drex"), (size, size, "drex"), (2, 1, "flush-now")):
        request = tiny_request(requests=requests, tokens=tokens, objective=objective, subject=policy)
        problem = exact_problem(request, PROFILE)
        listed_first, _ = worst_cases(problem, COUNTED, (), lambda _: None)
        found, notes = worst_cases(problem, Means("auto", solver, None), (), lambda _: None)
        assert notes == ()
        assert [(case.space, case.stopped, case.lower, case.upper) for case in found] == [
            (case.space, "proved", case.lower, case.upper) for case in listed_first]
        for case in found:
            general = solver == "cpsat" and case.open_arrivals and case.requests * case.tokens <= 4
            assert case.method == ("steps" if general else "lattice")
            assert case.solver.startswith({"highs": "HiGHS", "cpsat": "CP-SAT"}[solver])
            assert case.proof == {"highs": "floating-point", "cpsat": "exact"}[solver]


@pytest.mark.parametrize("solver", ["highs", "cpsat"])
def test_the_analysis_worst_case_is_enumerations(solver: ProofSolver, tmp_path: Path) -> None:
    told = {}
    for name, options in (("enumerate", {"method": "enumerate"}), (solver, {"solver": solver})):
        made = analyse_tiny(tmp_path / name, requests=2, tokens=1, budget=6000.0, **options)
        told[name] = made.worst_cases
    assert all(case.proved for cases in told.values() for case in cases)
    assert [(case.space, case.lower, case.upper) for case in told[solver]] == [
        (case.space, case.lower, case.upper) for case in told["enumerate"]]
    assert {case.method for case in told[solver]} == ({"lattice", "steps"} if solver == "cpsat" else {"lattice"})
