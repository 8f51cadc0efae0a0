"""What speaks for tuned settings: which parameters clusters name, what is recovered, proved, and written down."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.policies.settings import read_policy_config
from drex_runtime.records import Request, Workload
from tests.xplain.tiny import PROFILE, tiny_request
from tests.xplain.tuning.problems import operating, samples_of
from xplain.certify.check import check_file
from xplain.certify.record import profile_hash
from xplain.problems.operating import Contender, OperatingProblem
from xplain.problems.trace_source import TraceSource, trace_space
from xplain.records import Attribution, Cause, CauseShare, Cluster, Setting, Tuning
from xplain.run_folder import load_analysis
from xplain.tuning.certified import NoRegression, keep_certificate, no_regression
from xplain.tuning.named import named_groups
from xplain.tuning.optimise import Effort
from xplain.tuning.prepared import prepared, recorded_points
from xplain.tuning.recovered import independent_best, recovery
from xplain.tuning.scoring import ENOUGH_TOKENS
from xplain.tuning.tune import Plan, tune


def cause(rule: str, ticks: int, *names: str) -> Cause:
    return Cause("missed", rule, "a", names, ticks, 1, ticks / 100)


def cluster(name: str, rule: str, names: tuple[str, ...], gap: float, *causes: CauseShare) -> Cluster:
    return Cluster(name, f"{rule} should have fired", "missed", rule, "a", names, 0.9, False, (), causes, (0, 1), gap)


RUN = Attribution(0, "R1", "policy:no-exit", 100, (cause("flush_full", 70, "batch_limit"),
                                                  cause("flush_size", 20, "flush_size"),
                                                  cause("flush_age", 2, "max_age")), True)


def test_each_cluster_names_its_own_parameters_costliest_first() -> None:
    shares = (CauseShare("missed", "flush_full", "a", 0.8), CauseShare("missed", "flush_size", "a", 0.17),
              CauseShare("missed", "flush_age", "a", 0.03))
    small = cluster("C1", "split", ("art_factor",), 0.1)
    large = cluster("C2", "flush_full", ("batch_limit",), 0.5, *shares)
    found = named_groups((small, large), (RUN,))
    assert [(item.source, item.parameters) for item in found] == [
        ("cluster C2", ("batch_limit", "flush_size")), ("cluster C1", ("art_factor",))]


def test_without_clusters_the_runs_name_theirs() -> None:
    free = Attribution(1, "R2", "policy:no-exit", 0, (), True)
    (group,) = named_groups((), (RUN, free))
    assert (group.source, group.parameters) == ("R1", ("batch_limit", "flush_size", "max_age"))
    assert named_groups((), (free,)) == ()


def test_what_clusters_named_and_what_it_gave_is_recorded() -> None:
    problem = operating(batch_limit="1")
    clusters = (cluster("C1", "flush_full", ("batch_limit",), 0.5), cluster("C2", "split", ("art_factor",), 0.1))
    plan = Plan(trials=20, adversarial=2, benign=3, challenge=2, held_out=4, jobs=1)
    tuning = tune(problem, samples_of(problem, 6), (), (), plan, clusters=clusters)
    first, second = tuning.named
    assert (first.source, first.parameters, second.parameters) == ("cluster C1", ("batch_limit",), ("art_factor",))
    assert first.tried > 0 and (first.before is None or (first.after or 0.0) <= first.before)
    assert "chosen of" in tuning.choice and tuning.training == {"adversarial": 2, "benign": 3}
    assert tuning.recovered is None and tuning.recovery == "not looked for"


def test_recovered_is_one_for_the_best_known_and_none_without_a_gap() -> None:
    problem = operating(batch_limit="1")
    best, tried = independent_best(problem, 3, Effort(12), 0, 1)
    assert best and 12 <= tried <= 13  # the current settings come on top
    found = recovery(problem, 9.0, -9.0, best, tried, 4, 0, 1)
    assert found.share == 1.0 and found.best == -9.0 and "settings of all parameters" in found.text
    partly = recovery(problem, 9.0, 3.0, best, tried, 4, 0, 1)
    assert partly.share is not None and 0 < partly.share < 1 and partly.best < 3.0
    assert recovery(problem, -9.0, -9.0, best, tried, 4, 0, 1).share is None


@pytest.mark.parametrize(("tokens", "place"), [(8, 1), (2, 1)])
def test_throughput_is_measured_over_enough_tokens(tokens: int, place: int) -> None:
    problem = operating()
    space = problem.space.restricted("num_seqs", 6).restricted("output_tokens", 8)
    point = space.draw(np.random.default_rng(3)) | {"output_tokens": tokens, "num_seqs": place}
    made = prepared(problem, point, "benign")
    ran = sum(workload.workload.num_tokens for workload in made.workloads)
    assert ran >= ENOUGH_TOKENS * place and made.groups == (0, len(made.workloads))
    assert made.counted == 1 and len(prepared(problem, point, "benign", tokens=0).workloads) == 1


def trace(gap: int) -> Workload:
    return Workload(2, tuple(Request(k, k * gap, 3, (2, 1, 2)) for k in range(40)), "ns", "trace", "made")


def test_recorded_workloads_run_at_the_recordings_own_speed() -> None:
    problem = operating()
    windows = OperatingProblem(problem.heuristic, problem.benchmarks, PROFILE, trace_space(8), problem.objective, 0.05,
                               0, 1, TraceSource(trace(5000)))
    points = recorded_points(windows, 4, 0)
    assert [point["window"] for point in points] == [0.125, 0.375, 0.625, 0.875]
    for point in points:
        arrivals = [request.arrival for request in windows.workloads(point)[0].requests]
        assert np.median(np.abs(np.diff(arrivals) - 5000)) <= 1
    assert recorded_points(problem, 4, 0) == []
    at_once = OperatingProblem(problem.heuristic, problem.benchmarks, PROFILE, trace_space(8), problem.objective, 0.05,
                               0, 1, TraceSource(trace(0)))
    assert recorded_points(at_once, 4, 0) == []


def tuned(*settings: Setting) -> Tuning:
    return Tuning(settings, (), 1, (), True, "it says so")


def test_no_regression_is_proved_stored_and_checked_again(tmp_path: Path) -> None:
    request = tiny_request()
    found = no_regression(request, PROFILE, tuned(Setting("flush_size", "8", "1")), None)
    assert found.certificate is not None and found.certificate.status == "proved"
    assert found.text.startswith("proved: drex (flush_size = 1) loses at most") and "Larger" in found.text
    keep_certificate(tmp_path, found)
    assert check_file(tmp_path / "c.json", 60).holds is True
    keep_certificate(tmp_path, NoRegression("none"))
    assert not (tmp_path / "c.json").exists()


def test_no_certificate_without_time_or_settings() -> None:
    request = tiny_request()
    late = no_regression(request, PROFILE, tuned(Setting("flush_size", "8", "1")), 0.0)
    assert late.certificate is None and "not proved" in late.text
    assert no_regression(request, PROFILE, tuned(), 10.0).certificate is None


def test_tuned_yaml_says_where_its_settings_come_from(tiny_run: Path) -> None:
    tuning, config = load_analysis(tiny_run).tuning, read_policy_config(tiny_run / "tuned.yaml")
    assert tuning is not None
    origin = config.provenance
    assert origin["profile_sha256"] == profile_hash(PROFILE) and origin["run"] == tiny_run.name
    assert origin["seed"] == "0" and "numpy" in origin["versions"] and origin["certificate"] == tuning.certificate
    assert "95 % interval" in origin["held_out whole space"] and "no-exit" in origin["held_out whole space"]
    assert all(isinstance(value, Fraction) for value in config.settings.values())


def test_one_place_and_nobody_exits() -> None:
    problem = operating()
    space = problem.space
    for name, value in (("exit_rate", 0.0), ("load", 1.0)):
        space = space.restricted(name, value)
    single = replace(space, dimensions=tuple(replace(item, low=1, high=1) if item.name == "num_seqs" else item
                                             for item in space.dimensions))
    alone = OperatingProblem(Contender("drex", problem.heuristic.policy), problem.benchmarks, PROFILE, single,
                             problem.objective, 0.05, 0, 1)
    plan = Plan(trials=12, adversarial=1, benign=2, challenge=2, held_out=4, jobs=1, independent=0.5)
    tuning = tune(alone, samples_of(alone, 1), (), (), plan)
    assert tuning.comparisons[0].minimum_ratio_after >= 0.98
