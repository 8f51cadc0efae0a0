"""The floor under throughput is a constraint: of the search, of the challenges, of what is recommended."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost
from tests.xplain.tuning.problems import operating, points_of, samples_of
from xplain.records import Comparison
from xplain.tuning.accept import verdict
from xplain.tuning.challenge import counterexamples
from xplain.tuning.front import front, non_dominated
from xplain.tuning.optimise import Effort, explore, towards
from xplain.tuning.ranges import search_ranges
from xplain.tuning.scoring import FLOOR, mean_and_tail
from xplain.tuning.trials import REFUSED, Trials
from xplain.tuning.tune import Plan, tune

SLOW = {"batch_limit": Fraction(1)}
NEVER = {"consult_ramp_1": Fraction(0), "batch_limit": Fraction(8)}
# Ramps that cost as much as a segment: whoever consults them loses throughput where nobody exits.
DEAR = CostProfile("dear", (1, 2, 4, 8), (SegmentCost((1000,) * 4, 20), SegmentCost((1000,) * 4, 20)),
                   (LinearCost(900, 2),), (2000,), 500, LinearCost(10, 5), PrefillCost(500, 10))


def test_a_setting_below_the_floor_scores_worse_than_all_others() -> None:
    problem = operating()
    trials = Trials(problem, points_of(problem, 4), jobs=1)
    assert trials.minimum_ratio(SLOW) < FLOOR and not trials.allowed(SLOW)
    assert trials.allowed(NEVER) and trials.score(SLOW) > REFUSED > trials.score(NEVER)


def test_never_consulting_is_no_exit_to_the_tick() -> None:
    problem = operating()
    trials = Trials(problem, points_of(problem, 5), jobs=1)
    assert trials.minimum_ratio({"consult_ramp_1": Fraction(0)}) == 1.0


def test_outcomes_are_those_of_the_problem_itself() -> None:
    problem = operating(batch_limit="2")
    samples = samples_of(problem, 5)
    trials = Trials(problem, points_of(problem, 5), jobs=2, tail_weight=0.0, floor=0.0)
    assert trials.score({}) == pytest.approx(float(np.mean([item.relative_gap for item in samples])))
    assert len(trials) == 1


def test_a_challenge_finds_what_training_does_not_show() -> None:
    """Every token of the training point exits, so consulting pays there; elsewhere nobody exits and it does not."""
    problem = operating(profile=DEAR)
    easy = problem.draw(np.random.default_rng(0)) | {"exit_rate": 1.0, "load": 2.0}
    trials = Trials(problem, points_of(problem, 0, [easy]), jobs=1)
    eager = {"art_factor_1": Fraction(1, 10), "flush_size": Fraction(1)}
    found, again = (counterexamples(trials, eager, 0, seed=0, fresh=6) for _ in range(2))
    assert trials.allowed(eager) and found
    assert [point.spans for point in found] == [point.spans for point in again]
    trials.challenges += found
    assert not trials.allowed(eager) and trials.allowed(NEVER)


def test_tuning_keeps_the_floor_where_the_current_settings_do_not() -> None:
    problem = operating(profile=DEAR)
    plan = Plan(trials=25, adversarial=3, benign=5, challenge=6, held_out=6, jobs=1)
    tuning = tune(problem, samples_of(problem, 8), (), (), plan)
    assert tuning.accepted and tuning.below_floor > 0
    whole = tuning.comparisons[0]
    assert whole.minimum_ratio_before is not None and whole.minimum_ratio_before < FLOOR
    assert whole.minimum_ratio_after >= FLOOR
    assert all(point.minimum_ratio >= FLOOR for point in tuning.front)


def test_a_policy_that_cannot_keep_the_floor_is_led_towards_it() -> None:
    """`threshold` consults every ramp whatever its settings: nothing is allowed, the best is the nearest."""
    problem = operating("threshold", profile=DEAR)
    points = points_of(problem, 0, [problem.draw(np.random.default_rng(1)) | {"exit_rate": 0.0, "load": 2.0}])
    trials = Trials(problem, points, jobs=1)
    bound = problem.bound(problem.heuristic, {"num_seqs": 6})
    names = tuple(item.name for item in problem.heuristic.policy.parameters if item.name != "consult_ramp")
    explore(trials, search_ranges(problem.heuristic.policy, names, bound, 6), bound.values, Effort(15), 0)
    ratios = [trials.minimum_ratio(values) for values in trials.settings()]
    assert trials.minimum_ratio(trials.best()) == max(ratios) < FLOOR


def test_the_front_holds_what_no_allowed_setting_beats() -> None:
    problem = operating()
    trials = Trials(problem, points_of(problem, 5), jobs=1)
    bound = problem.bound(problem.heuristic, {"num_seqs": 6})
    names = ("flush_size", "art_factor", "consult_ramp")
    explore(trials, search_ranges(problem.heuristic.policy, names, bound, 6), bound.values, Effort(20), 0)
    best = trials.best()
    points = front(trials, bound.values, best)
    assert sum(point.chosen for point in points) == 1
    allowed = [trials.mean_and_tail(values) for values in trials.settings() if trials.allowed(values)]
    for point in points:
        assert not any(mean <= point.mean and tail <= point.tail and (mean, tail) != (point.mean, point.tail)
                       for mean, tail in allowed)
    assert [point.mean for point in points] == sorted(point.mean for point in points)


def test_a_repair_looks_between_the_refuted_setting_and_the_current_one() -> None:
    problem = operating()
    bound = problem.bound(problem.heuristic, {"num_seqs": 6})
    ranges = search_ranges(problem.heuristic.policy, ("decodes_between_prefills", "flush_size"), bound, 6)
    refuted = {"decodes_between_prefills": Fraction(4)}
    assert towards(refuted, bound.values, ranges) == [{"decodes_between_prefills": Fraction(2)},
                                                      {"decodes_between_prefills": Fraction(3)}]
    assert towards({}, bound.values, ranges) == []


def test_non_dominated_points() -> None:
    assert non_dominated([(1, 4), (2, 2), (2, 3), (3, 2), (4, 1), (1, 4)]) == [0, 1, 4]
    assert non_dominated([]) == []


def test_mean_and_tail_of_few_gaps() -> None:
    assert mean_and_tail([0.5]) == (0.5, 0.5)
    assert mean_and_tail([0.0, 0.0, 0.0, 0.4, -0.4]) == pytest.approx((0.0, 0.2))


def row(name: str = "whole space", *, before: float = 0.2, after: float = 0.1, high: float = -0.05, least: float = 1.0,
        least_before: float = 1.0) -> Comparison:
    return Comparison(name, 8, before, after, after, after, before, after, 1.0, 1.0, least, least_before, -0.2, high)


@pytest.mark.parametrize(("rows", "accepted", "said"), [
    ([row()], True, "+20.0% to +10.0%"),
    ([row(high=0.01)], False, "may be chance"),
    ([row(), row("R1", before=0.1, after=0.105)], True, "+20.0% to +10.0%"),
    ([row(), row("R1", before=0.1, after=0.12)], False, "R1"),
    ([row(least=0.97)], False, "0.970"),
    ([row(least=0.97, least_before=0.9)], True, "nowhere further than before"),
    ([row(), row("R1", least=0.9, least_before=0.95)], False, "0.900"),
    ([row(after=0.3)], False, "does not fall")])
def test_what_is_recommended(rows: list[Comparison], accepted: bool, said: str) -> None:
    found, reason = verdict(rows, changed=True)
    assert found == accepted and said in reason
    assert verdict(rows, changed=False)[0] is False
