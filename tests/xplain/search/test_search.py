"""Search finds what there is to find, within its budget, and the same every time."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from drex_runtime.errors import InputError
from tests.xplain.synthetic import SyntheticProblem, box, plane, slope
from tests.xplain.tiny import PROFILE, tiny_request
from xplain.records import Dimension, Origin, Point, Sample, Scale
from xplain.request import exact_problem
from xplain.search import DEFAULT_SHARES, METHODS, Budget, Incumbents, Shares, portfolio, random_search
from xplain.search.method import SearchMethod
from xplain.space import Space

SOUGHT: list[Origin] = list(METHODS)


def problem(**options: float) -> SyntheticProblem:
    return SyntheticProblem(slope, plane(), **options)


def test_random_search_spends_exactly_the_evaluations_it_was_given() -> None:
    samples, trace = random_search(problem(), 0, Budget(evaluations=77))
    assert len(samples) == trace.evaluations == 77
    assert [sample.index for sample in samples] == list(range(77))
    assert {sample.origin for sample in samples} == {"random"}


def test_a_larger_budget_continues_a_smaller_one() -> None:
    small, _ = random_search(problem(), 3, Budget(evaluations=40))
    large, _ = random_search(problem(), 3, Budget(evaluations=90))
    assert large[:40] == small


def test_held_out_samples_are_fresh() -> None:
    seen, _ = random_search(problem(), 5, Budget(evaluations=50))
    fresh, _ = random_search(problem(), 5, Budget(evaluations=50), origin="held-out", first_index=50)
    assert not {tuple(s.point.values()) for s in seen} & {tuple(s.point.values()) for s in fresh}
    assert {sample.origin for sample in fresh} == {"held-out"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_jobs_do_not_change_the_outcome(seed: int) -> None:
    one = portfolio(problem(noise=0.01), Budget(evaluations=200), seed, jobs=1)
    three = portfolio(problem(noise=0.01), Budget(evaluations=200), seed, jobs=3)
    assert one.samples == three.samples
    assert [untimed(trace.improvements) for trace in one.traces] == [untimed(t.improvements) for t in three.traces]


def untimed(improvements: tuple[tuple[float, int, float], ...]) -> list[tuple[int, float]]:
    return [(evaluations, best) for _, evaluations, best in improvements]


@pytest.mark.parametrize("method", SOUGHT)
def test_every_method_beats_random_search_at_equal_evaluations(method: Origin) -> None:
    wins = []
    for seed in range(10):
        mixed = portfolio(problem(), Budget(evaluations=400), seed, shares={"random": 1, method: 1})
        alone, _ = random_search(problem(), seed, Budget(evaluations=400))
        wins.append(mixed.worst.relative_gap - max(sample.relative_gap for sample in alone))
    assert np.mean(wins) > 0.01
    assert sum(win >= 0 for win in wins) >= 9


@pytest.mark.parametrize("method", SOUGHT)
def test_a_method_stays_inside_the_space_and_leaves_fixed_dimensions_alone(method: Origin) -> None:
    space = plane(Dimension("speed", 2.0, 2.0), Dimension("load", 0.1, 10.0, log=True))
    tried = SyntheticProblem(slope, space)
    outcome = portfolio(tried, Budget(evaluations=200), 0, shares={"random": 1, method: 4})
    found = [sample for sample in outcome.samples if sample.origin == method]
    assert len(found) == 160
    for sample in found:
        assert list(sample.point) == list(space.names)
        assert space.clip(sample.point) == pytest.approx(sample.point)
    assert len({tuple(sample.point.values()) for sample in found}) > 100


def test_shares_are_kept_and_every_method_has_its_turns() -> None:
    shares: Shares = {"random": 0.4, "hill-climbing": 0.1, "annealing": 0.2, "tpe": 0.1, "cma-es": 0.2}
    outcome = portfolio(problem(), Budget(evaluations=1000), 0, shares=shares)
    made = {trace.method: trace.evaluations for trace in outcome.traces}
    assert made == {name: sum(sample.origin == name for sample in outcome.samples) for name in shares}
    for name, share in shares.items():
        assert abs(made[name] - 1000 * share) <= 16  # a batch more or less


def test_incumbents_are_shared_whoever_found_them() -> None:
    """Each method starts from what the others know: the first entry of its curve is the best of all before it."""
    outcome = portfolio(problem(), Budget(evaluations=600), 0)
    for trace in outcome.traces[1:]:
        at, best = trace.improvements[0][1:]
        assert best == max(sample.relative_gap for sample in outcome.samples[:at])
    rare = SyntheticProblem(lambda point: 0.5 if 6 <= point["in_flight"] <= 8 else 0.0, plane())
    known = [rare.evaluate({"exit_rate": 0.5, "in_flight": value, "prompt": 100.0}, int(value), "random")
             for value in (7.0, 8.0, *np.arange(20.0, 60.0))]
    for method in SOUGHT:
        made = METHODS[method](rare, Incumbents(known), 0)
        points = [point for _ in range(4) for point in asked(made, rare)]
        assert np.mean([abs(point["in_flight"] - 7) <= 8 for point in points]) > 0.35, method  # a quarter by chance


def asked(method: SearchMethod, of: SyntheticProblem) -> list[Point]:
    """One turn of a method."""
    points = method.ask(0.0)
    method.tell([of.evaluate(point, index, method.name) for index, point in enumerate(points, start=1)])
    return points


@pytest.mark.parametrize("method", SOUGHT)
def test_a_batch_that_the_budget_cut_is_no_error(method: Origin) -> None:
    tried = problem()
    start, _ = random_search(tried, 0, Budget(evaluations=20))
    made = METHODS[method](tried, Incumbents(start), 0)
    made.tell([None] * len(made.ask(0.0)))
    points = made.ask(0.5)
    made.tell([tried.evaluate(points[0], 21, method), *[None] * (len(points) - 1)])
    assert made.ask(0.9)


@pytest.mark.parametrize("free", [0, 1, 2])
def test_spaces_of_few_free_dimensions(free: int) -> None:
    """CMA-ES needs two; its turns go to the others."""
    dimensions = [Dimension(f"x{k}", 0.0, 1.0 if k < free else 0.0) for k in range(3)]
    tried = SyntheticProblem(lambda point: point["x0"], Space("few", tuple(dimensions)))
    outcome = portfolio(tried, Budget(evaluations=60), 0)
    assert len(outcome.samples) == 60
    assert ("cma-es" in {sample.origin for sample in outcome.samples}) == (free >= 2)


@pytest.mark.parametrize("shares", [{}, {"random": 0, "annealing": 1}, {"random": 1, "annealing": -1},
                                    {"random": 1, "magic": 1}, {"annealing": 1}], ids=str)
def test_shares_without_sense_are_rejected(shares: Shares) -> None:
    with pytest.raises(InputError, match="shares"):
        portfolio(problem(), Budget(evaluations=20), 0, shares=shares)


@pytest.mark.parametrize("scale", ["operating", "exact"])
def test_default_shares_leave_half_of_the_samples_unbiased(scale: Scale) -> None:
    shares = DEFAULT_SHARES[scale]
    assert sum(shares.values()) == pytest.approx(1) and shares["random"] >= 0.5


def test_portfolio_keeps_the_random_share_unbiased_and_says_which_it_is() -> None:
    outcome = portfolio(problem(), Budget(evaluations=300), 0, shares={"random": 0.4, "annealing": 0.6})
    alone, _ = random_search(problem(), 0, Budget(evaluations=120))
    assert outcome.random == alone
    assert len(outcome.samples) == 300
    assert [sample.index for sample in outcome.samples] == list(range(300))
    assert outcome.reproducible


def test_traces_share_one_axis_and_only_rise() -> None:
    outcome = portfolio(problem(), Budget(evaluations=300), 0)
    random, *others = outcome.traces
    assert others and sum(trace.evaluations for trace in outcome.traces) == 300
    for trace in outcome.traces:
        assert all(a[2] < b[2] and a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(trace.improvements))
        assert trace.best == trace.improvements[-1][2]
        own = {sample.index: sample for sample in outcome.samples if sample.origin == trace.method}
        handed_over = 0 if trace is random else 1
        for _, evaluations, best in trace.improvements[handed_over:]:
            assert own[evaluations - 1].relative_gap == best
    assert max(trace.best for trace in outcome.traces) == outcome.worst.relative_gap


def test_at_the_exact_scale_every_method_finds_workloads_that_are_whole() -> None:
    exact = exact_problem(tiny_request(requests=3, tokens=2), PROFILE)
    outcome = portfolio(exact, Budget(evaluations=160), 0)
    assert {sample.origin for sample in outcome.samples} == {"random", *SOUGHT}
    for sample in outcome.samples:
        assert exact.evaluate(sample.point, sample.index, sample.origin) == sample and sample.gap >= 0
        workload = exact.workload(sample.point)
        if sample.unbiased:
            assert [request.output_tokens for request in workload.requests] == [2, 2, 2]


def test_a_search_bounded_by_seconds_stops_and_says_it_is_not_reproducible() -> None:
    outcome = portfolio(problem(), Budget(seconds=0.3), 0, jobs=2)
    assert not outcome.reproducible
    assert sum(trace.seconds for trace in outcome.traces) < 3
    assert {sample.origin for sample in outcome.samples} == {"random", *SOUGHT}
    seconds = {trace.method: trace.seconds for trace in outcome.traces}
    assert all(seconds[method] > 0 for method in SOUGHT)


def test_progress_is_told_after_every_batch() -> None:
    told: list[tuple[str, float]] = []
    portfolio(problem(), Budget(evaluations=200), 0,
              progress=lambda method, spent, evaluations, best: told.append((method, spent)))
    assert {method for method, _ in told} == {"random", *SOUGHT}
    assert told[-1][1] == 1.0


@pytest.mark.parametrize("method", SOUGHT)
def test_a_flat_response_gives_no_direction_but_no_error(method: Origin) -> None:
    flat = SyntheticProblem(lambda point: 0.0, plane())
    outcome = portfolio(flat, Budget(evaluations=120), 0, shares={"random": 0.1, method: 0.9})
    assert outcome.worst.relative_gap == 0.0 and len(outcome.samples) == 120
    assert all(flat.space.clip(sample.point) == pytest.approx(sample.point) for sample in outcome.samples)


@pytest.mark.parametrize("make", [lambda: Budget(), lambda: Budget(evaluations=0), lambda: Budget(seconds=-1.0)])
def test_budgets_without_sense_are_rejected(make: object) -> None:
    with pytest.raises(InputError, match="search budget"):
        make()  # type: ignore[operator]


def test_methods_need_a_start() -> None:
    with pytest.raises(InputError, match="start"):
        Incumbents(())


def test_an_error_of_the_problem_is_not_swallowed() -> None:
    class Broken(SyntheticProblem):
        def evaluate(self, point: object, index: int, origin: object) -> Sample:  # type: ignore[override]
            raise InputError("workload", "load", point, "less")

    for jobs in (1, 2):
        with pytest.raises(InputError, match="load"):
            random_search(Broken(box, plane()), 0, Budget(evaluations=4), jobs=jobs)


def test_samples_are_plain_records() -> None:
    outcome = portfolio(problem(), Budget(evaluations=20), 0)
    assert all(dataclasses.asdict(sample)["scale"] == "operating" for sample in outcome.samples)
