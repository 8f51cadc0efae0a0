"""Search finds what there is to find, within its budget, and the same every time."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from drex_runtime.errors import InputError
from tests.xplain.synthetic import SyntheticProblem, box, plane, slope
from xplain.records import Sample
from xplain.search import Budget, annealing, portfolio, random_search


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


def test_annealing_beats_random_search_at_equal_evaluations() -> None:
    wins = []
    for seed in range(10):
        mixed = portfolio(problem(), Budget(evaluations=400), seed)
        alone, _ = random_search(problem(), seed, Budget(evaluations=400))
        wins.append(mixed.worst.relative_gap - max(sample.relative_gap for sample in alone))
    assert np.mean(wins) > 0.01
    assert sum(win >= 0 for win in wins) >= 9


def test_portfolio_keeps_the_random_share_unbiased_and_says_which_it_is() -> None:
    outcome = portfolio(problem(), Budget(evaluations=300), 0, random_share=0.4)
    alone, _ = random_search(problem(), 0, Budget(evaluations=120))
    assert outcome.random == alone
    assert len(outcome.samples) == 300
    assert [sample.index for sample in outcome.samples] == list(range(300))
    assert outcome.reproducible


def test_traces_share_one_axis_and_only_rise() -> None:
    outcome = portfolio(problem(), Budget(evaluations=300), 0)
    random, annealed = outcome.traces
    assert annealed.improvements[0][1] == random.evaluations
    assert annealed.improvements[0][2] == random.best
    for trace in outcome.traces:
        assert all(a[2] < b[2] and a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(trace.improvements))
    assert annealed.best == outcome.worst.relative_gap


def test_a_search_bounded_by_seconds_stops_and_says_it_is_not_reproducible() -> None:
    outcome = portfolio(problem(), Budget(seconds=0.3), 0, jobs=2)
    assert not outcome.reproducible
    assert sum(trace.seconds for trace in outcome.traces) < 3
    assert {sample.origin for sample in outcome.samples} == {"random", "annealing"}


def test_progress_is_told_after_every_batch() -> None:
    told: list[tuple[str, float]] = []
    portfolio(problem(), Budget(evaluations=100), 0,
              progress=lambda method, spent, evaluations, best: told.append((method, spent)))
    assert {method for method, _ in told} == {"random", "annealing"}
    assert told[-1] == ("annealing", 1.0)


def test_annealing_stays_inside_the_space_when_a_flat_response_gives_no_direction() -> None:
    flat = SyntheticProblem(lambda point: 0.0, plane())
    start, _ = random_search(flat, 0, Budget(evaluations=5))
    samples, trace = annealing(flat, start, 0, Budget(evaluations=60))
    assert trace.best == 0.0
    assert all(flat.space.clip(sample.point) == sample.point for sample in samples)


@pytest.mark.parametrize("make", [lambda: Budget(), lambda: Budget(evaluations=0), lambda: Budget(seconds=-1.0)])
def test_budgets_without_sense_are_rejected(make: object) -> None:
    with pytest.raises(InputError, match="search budget"):
        make()  # type: ignore[operator]


def test_annealing_needs_a_start() -> None:
    with pytest.raises(InputError, match="start"):
        annealing(problem(), (), 0, Budget(evaluations=5))


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
