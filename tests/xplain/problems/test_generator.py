"""Dimensions of the generator mean what they say, and act; spaces that do not name them go on working."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from drex_runtime.errors import InputError
from drex_runtime.records import PrefillCost, SegmentCost, Workload
from drex_runtime.simulator.compiled import simulate_compiled
from tests.xplain.tiny import PROFILE, analyse_tiny, run_command, saved_profile, tiny_request
from xplain.problems.generator import FIXED, USUAL_SLO, check_space, default_space, generate, with_dues
from xplain.problems.trace_source import TraceSource, measured_similarity
from xplain.records import Analysis, Dimension
from xplain.request import AnalysisRequest, exact_problem, has_dues, operating_problem
from xplain.run_folder import load_analysis
from xplain.space import Space

OLD = {"load": 1.0, "exit_rate": 0.5, "persistence": 0.5, "output_tokens": 12.0, "prompt_tokens": 8.0, "num_seqs": 8.0}


def made(seed: int = 0, **changes: float) -> Workload:
    return generate({**OLD, **changes}, PROFILE, 8, seed, 0)


def gaps(workload: Workload) -> list[int]:
    return [later.arrival - earlier.arrival for earlier, later in pairwise(workload.requests)]


def test_a_point_without_the_newer_dimensions_means_their_fixed_values() -> None:
    assert made() == generate({**FIXED, **OLD}, PROFILE, 8, 0, 0)
    assert all(request.due is None for request in made().requests)


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_burstiness_is_the_squared_coefficient_of_variation(burstiness: float) -> None:
    found = np.concatenate([gaps(made(seed, burstiness=burstiness, num_seqs=64.0)) for seed in range(60)])
    poisson = np.concatenate([gaps(made(seed, num_seqs=64.0)) for seed in range(60)])
    assert (found.std() / found.mean()) ** 2 == pytest.approx(burstiness, rel=0.15)
    assert found.mean() == pytest.approx(poisson.mean(), rel=0.05)
    assert spearmanr(found, poisson).statistic > 0.99  # long gaps stay long ones, but for rounding


def exits_of(workload: Workload) -> list[np.ndarray]:
    return [np.array([depth == 1 for depth in request.depths[1:]], np.bool_) for request in workload.requests]


@pytest.mark.parametrize("similarity", [0.0, 0.5, 0.9])
def test_similarity_is_found_again_in_the_depths(similarity: float) -> None:
    workload = made(similarity=similarity, persistence=0.0, num_seqs=64.0, output_tokens=60.0)
    assert measured_similarity(exits_of(workload)) == pytest.approx(similarity, abs=0.12)


def test_with_similarity_1_all_requests_follow_one_string_of_depths() -> None:
    strings = [request.depths[1:] for request in made(similarity=1.0, persistence=0.0).requests]
    longest = max(strings, key=len)
    assert len(set(strings)) > 1 and all(longest[:len(string)] == string for string in strings)


def test_features_of_a_trace_are_those_of_the_generator() -> None:
    workload = made(burstiness=4.0, similarity=0.9, persistence=0.0, num_seqs=256.0)
    source = TraceSource(workload)
    found = source.features({"load": 1.0, "window": 0.5, "num_seqs": 256.0}, PROFILE, 8, 0, 1)
    assert found["burstiness"] == pytest.approx(4.0, rel=0.5) and found["similarity"] == pytest.approx(0.9, abs=0.1)
    lonely = TraceSource(Workload.of(2, [replace(workload.requests[0], depths=(2,))], tick=PROFILE.tick))
    assert lonely.features({"load": 1.0, "window": 0.0, "num_seqs": 1.0}, PROFILE, 1, 0, 1)["similarity"] == 0.0


def test_long_contexts_act() -> None:
    """Passes over long prompts cost more, for requests with the same depths and lengths of answers."""
    heavy = replace(PROFILE, segments=tuple(replace(each, per_context=2) for each in PROFILE.segments),
                    prefill=PrefillCost(0, 0))
    problem, busy = operating_problem(tiny_request(), heavy), []
    for prompt in (1.0, 500.0):
        point = {**OLD, "prompt_tokens": prompt, "load": 1000.0}
        run = simulate_compiled(problem.bound(problem.heuristic, point), generate(point, heavy, 8, 0, 0))
        busy.append(run.busy)
    assert busy[1] > 2 * busy[0]
    long = default_space(32, max_context=4096).dimension("prompt_tokens").high
    assert long > 1000 and default_space(32).dimension("prompt_tokens").high == 64


def test_due_dates_are_multiples_of_the_time_alone() -> None:
    tight, loose = made(slo=1.0), made(slo=2.5)
    for one, other in zip(tight.requests, loose.requests, strict=True):
        assert one.due is not None and other.due is not None
        assert other.due - other.arrival == pytest.approx(2.5 * (one.due - one.arrival), abs=2)
    bare = generate({**OLD, "prompt_tokens": 0.0, "slo": 1.0, "num_seqs": 1.0}, PROFILE, 1, 0, 0)
    first = bare.requests[0]
    pass_of = first.due // first.output_tokens if first.due else 0
    assert pass_of == PROFILE.segment_cost(1, 1, 0) + PROFILE.segment_cost(2, 1, 0)


def test_one_segment_has_no_exits_whatever_the_dimensions_say() -> None:
    flat = replace(PROFILE, segments=(SegmentCost((900, 1000, 1100, 1300), 20),), ramps=(), starts=())
    workload = generate({**OLD, "similarity": 0.7, "burstiness": 2.0, "slo": 2.0}, flat, 8, 0, 0)
    assert {depth for request in workload.requests for depth in request.depths} == {1}


def old_space() -> Space:
    kept = [item for item in default_space(8).dimensions if item.name in OLD]
    return Space("old", tuple(kept))


def test_old_space_files_go_on_working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_space(old_space(), "old")
    with pytest.raises(InputError, match="load"):
        check_space(Space("short", old_space().dimensions[1:]), "short")
    rows = [{"name": item.name, "low": item.low, "high": item.high, "integer": item.integer, "log": item.log}
            for item in old_space().dimensions if item.name != "persistence"]
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({"name": "old", "dimensions": rows}))
    asked: list[AnalysisRequest] = []

    def stop(request: AnalysisRequest, *_: object) -> Analysis:
        asked.append(request)
        raise InputError("test", "analysis", "stopped", "no analysis")

    monkeypatch.setattr("xplain.commands.analyze", stop)
    assert run_command(["analyze", "drex", "--profile", saved_profile(tmp_path), "--space", tmp_path / "space.yaml",
                        "--objective", "misses", "--benchmark", "best-params", "--benchmark", "clairvoyant",
                        "--out", tmp_path / "run"]) == 2
    request = asked[0]
    assert request.space.names == ("load", "exit_rate", "output_tokens", "prompt_tokens", "num_seqs", "slo")
    assert request.space.dimension("slo").low == request.space.dimension("slo").high == USUAL_SLO
    assert request.benchmarks == ("best-params",) and request.clairvoyant


def test_an_analysis_of_misses_against_best_settings(tmp_path: Path) -> None:
    """Through all stages; small N keeps the design's runs short."""
    space = with_dues(old_space()).restricted("num_seqs", 4)
    analysis = analyse_tiny(tmp_path / "run", space=space, objective="misses", benchmarks=("best-params",),
                            clairvoyant=True, evaluations=10, held_out=20, requests=2, tokens=2)
    assert any("burstiness = 1" in text and "similarity = 0" in text for text in analysis.limits)
    assert any("no proof for misses" in text for text in analysis.limits)
    assert any("in hindsight" in text for text in analysis.limits)
    assert len(analysis.gap_intervals) >= 8
    for item in analysis.gap_intervals:
        assert 0 <= item.bound <= item.replayed <= item.heuristic <= item.per
    assert load_analysis(tmp_path / "run") == analysis
    assert "report.html" in {path.name for path in (tmp_path / "run").iterdir()}


def test_misses_need_due_dates_and_are_measured_per_request() -> None:
    with pytest.raises(InputError, match="due dates"):
        operating_problem(tiny_request(objective="misses"), PROFILE)
    zero = Space("zero", (*old_space().dimensions, Dimension("slo", 0.0, 2.0)))
    assert not has_dues(zero, None) and with_dues(zero) == zero
    request = tiny_request(objective="misses", space=default_space(8, dues=True), replicates=2)
    problem = operating_problem(request, PROFILE)
    sample = problem.evaluate({**OLD, "slo": 1000.0, "load": 0.2}, 0, "random")
    assert sample.upper == 0 and sample.relative_gap == 0  # nobody is late: no division by zero
    worse = problem.evaluate({**OLD, "slo": 1.0, "load": 2.0}, 0, "random")
    assert worse.per == 64 and worse.heuristic <= 64
    assert exact_problem(request, PROFILE).objective == "total-completion"


def test_a_trace_with_due_dates_needs_no_dimension_for_them() -> None:
    dated = replace(made(slo=2.0), name="dated")
    assert has_dues(Space("t", ()), dated) and not has_dues(Space("t", ()), made())
    point = {"load": 1.0, "window": 0.2, "num_seqs": 8.0}
    own = TraceSource(dated).workload(point, PROFILE, 8, 0, 0)
    stated = TraceSource(dated).workload({**point, "slo": 1.0}, PROFILE, 8, 0, 0)
    assert all(item.due is not None for item in (*own.requests, *stated.requests))
    assert sum(one.due < other.due for one, other in zip(stated.requests, own.requests, strict=True)  # type: ignore[operator]
               ) > len(own.requests) // 2
