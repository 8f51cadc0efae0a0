"""Tuning cures what is planted, never recommends what is worse on held-out workloads, and repeats itself by seed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.policies.settings import load_policy_config
from drex_runtime.records import ServerConfig
from tests.xplain.tiny import PROFILE, tiny_request
from tests.xplain.tuning.problems import operating, samples_of
from xplain.pipeline import assemble
from xplain.problems.operating import OperatingProblem
from xplain.records import Analysis, Attribution, Cause, Comparison, Setting, Tuning
from xplain.tuning import tune as tune_module
from xplain.tuning.held_out import fresh_seeds, slices
from xplain.tuning.named import named_parameters
from xplain.tuning.prepared import worst_and_benign
from xplain.tuning.tune import Plan, tune
from xplain.tuning.write import write_tuned

PLAN = Plan(trials=12, adversarial=2, benign=3, challenge=2, held_out=4, jobs=1)


@cache
def crippled() -> tuple[OperatingProblem, Tuning]:
    """drex that runs one row at a time."""
    problem = operating(batch_limit="1")
    return problem, tune(problem, samples_of(problem), (), (), replace(PLAN, parameters=("batch_limit",)))


def test_a_planted_setting_is_cured() -> None:
    _, tuning = crippled()
    assert tuning.accepted and tuning.searched == ("batch_limit",)
    (setting,) = tuning.settings
    assert (setting.name, setting.current) == ("batch_limit", "1") and int(setting.proposed) > 1
    assert tuning.comparisons[0].after < tuning.comparisons[0].before / 2


def test_the_same_seed_gives_the_same_tuning_whatever_the_jobs() -> None:
    problem, first = crippled()
    samples = samples_of(problem)
    again = tune(problem, samples, (), (), replace(PLAN, parameters=("batch_limit",), jobs=2))
    assert again == first


def test_asking_for_all_parameters_searches_all() -> None:
    problem = operating()
    every = tuple(item.name for item in problem.heuristic.policy.parameters)
    found = tune(problem, samples_of(problem, 4), (), (), replace(PLAN, trials=3, parameters=every))
    searched = {name.removesuffix("_1") for name in found.searched}
    assert searched == set(every) and found.evaluations > 0


@pytest.mark.parametrize("after", [0.2, 0.1])
def test_worse_on_held_out_workloads_is_never_recommended(after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*_: object, **__: object) -> tuple[Comparison, ...]:
        def row(name: str, before: float, after: float) -> Comparison:
            return Comparison(name, 4, before, after, after, after, before, after, 1.0, 1.0, 1.0)
        return row("whole space", 0.2, after), row("R1", 0.1, 0.15)

    monkeypatch.setattr(tune_module, "held_out", compared)
    problem = operating(batch_limit="1")
    tuning = tune(problem, samples_of(problem, 4), (), (), replace(PLAN, trials=4, parameters=("batch_limit",)))
    assert tuning.settings and not tuning.accepted
    assert ("R1" if after < 0.2 else "does not fall") in tuning.reason


def test_nothing_better_changes_nothing() -> None:
    """no-exit has nothing to gain from its only relevant parameter: at its best value already."""
    problem = operating("no-exit")
    tuning = tune(problem, samples_of(problem, 4), (), (), replace(PLAN, trials=6, parameters=("batch_limit",)))
    assert not tuning.accepted or tuning.comparisons[0].after < tuning.comparisons[0].before
    if not tuning.settings:
        assert tuning.comparisons[0].after == tuning.comparisons[0].before


def test_held_out_workloads_are_not_those_of_search_and_training() -> None:
    problem = operating()
    fresh = fresh_seeds(problem)
    rng = np.random.default_rng(5)
    trained = [problem.draw(rng) for _ in range(8)]
    points = slices(fresh, (), 4, seed=0)["whole space"]
    assert not [point for point in points if point in trained]
    assert fresh.workloads(trained[0])[0].requests != problem.workloads(trained[0])[0].requests


def test_parameters_are_those_the_causes_name_costliest_first() -> None:
    def cause(ticks: int, *names: str) -> Cause:
        return Cause("missed", "r", "a", names, ticks, 1, ticks / 100)

    found = Attribution(0, "R1", "policy:no-exit", 100,
                        (cause(70, "flush_size"), cause(40, "batch_limit"), cause(-10, "alpha")), True)
    assert named_parameters(("alpha",), [found]) == ("flush_size", "batch_limit")
    assert named_parameters(("alpha", "batch_limit"), []) == ("alpha", "batch_limit")


def test_training_takes_the_worst_and_benign_ones_each_once() -> None:
    problem = operating()
    samples = samples_of(problem, 10)
    worst, benign = worst_and_benign(samples, (), PLAN.adversarial, PLAN.benign)
    assert worst == sorted(samples, key=lambda item: -item.relative_gap)[:PLAN.adversarial]
    found = [*worst, *benign]
    assert len({item.index for item in found}) == len(found) == PLAN.adversarial + PLAN.benign


def written(path: Path, settings: tuple[Setting, ...], accepted: bool = True) -> Analysis:
    problem = operating(alpha="1/3")
    request = tiny_request(settings={"alpha": "1/3"}, command="xplain analyze drex")
    tuning = Tuning(settings, (), 1, (), accepted, "it says so")
    from xplain.pipeline import Explained
    analysis = assemble(request, PROFILE, path.parent, problem, (), (), (), (), Explained((), ()), tuning, (), ())
    write_tuned(path, request, analysis, PROFILE, "run")
    return analysis


def test_exact_values_round_trip_through_tuned_yaml(tmp_path: Path) -> None:
    settings = (Setting("art_factor_1", "1940/4283", "1940/4283"), Setting("flush_size", "8", "5"),
                Setting("max_age", "100", "17"))
    written(tmp_path / "tuned.yaml", settings)
    policy, values = load_policy_config(tmp_path / "tuned.yaml")
    assert policy == shipped_policy("drex")
    assert values == {"alpha": Fraction(1, 3), "art_factor_1": Fraction(1940, 4283), "flush_size": Fraction(5),
                      "max_age": Fraction(17)}
    bound = bind(policy, PROFILE, ServerConfig(8, 8), values)
    assert bound.values["art_factor_1"] == parse_fraction("1940/4283", "")


def test_settings_not_recommended_are_not_in_tuned_yaml(tmp_path: Path) -> None:
    written(tmp_path / "tuned.yaml", (Setting("flush_size", "8", "5"),), accepted=False)
    _, values = load_policy_config(tmp_path / "tuned.yaml")
    assert values == {"alpha": Fraction(1, 3)}
    assert "current settings kept" in (tmp_path / "tuned.yaml").read_text()
