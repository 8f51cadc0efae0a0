"""The whole analysis on a tiny budget: complete, repeatable, rerun from its folder, on unusual sizes too."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.policies.settings import load_policy_config, read_policy_config
from drex_runtime.records import (
    CostProfile,
    LinearCost,
    PrefillCost,
    Request,
    SegmentCost,
    ServerConfig,
    Workload,
)
from tests.drex_runtime.engine.cases import model_with
from tests.xplain.tiny import PROFILE, analyse_tiny, run_command, tiny_request
from xplain.encodings.gap import GapProblem
from xplain.encodings.steps import InputSpace
from xplain.pipeline import explain, warm_up
from xplain.problems.generator import default_space
from xplain.records import Analysis
from xplain.request import exact_problem, load_request, operating_problem
from xplain.run_folder import load_analysis, load_samples, save_analysis


def without_times(analysis: Analysis) -> Analysis:
    """What must not depend on machine, day or threads."""
    traces = tuple(replace(trace, seconds=0.0, improvements=tuple((0.0, n, best) for _, n, best in trace.improvements))
                   for trace in analysis.traces)
    worst = tuple(replace(case, seconds=0.0, progress=()) for case in analysis.worst_cases)
    intervals = tuple(replace(item, seconds=0.0) for item in analysis.gap_intervals)
    return replace(analysis, traces=traces, worst_cases=worst, gap_intervals=intervals,
                   provenance=replace(analysis.provenance, date="", seconds=0.0))


def test_the_same_seed_gives_the_same_analysis_whatever_the_jobs(tiny_run: Path, tmp_path: Path) -> None:
    first = load_analysis(tiny_run)
    analyse_tiny(tmp_path / "tiny", jobs=3)
    again = load_analysis(tmp_path / "tiny")
    text = json.dumps(str(without_times(again))).replace(str(tmp_path), "")
    assert text == json.dumps(str(without_times(first))).replace(str(tiny_run.parent), "")


def test_what_is_written_reads_back_equal(tiny_run: Path, tmp_path: Path) -> None:
    analysis = load_analysis(tiny_run)
    (tmp_path / "again").mkdir()
    save_analysis(tmp_path / "again", analysis)
    for name in ("analysis.json", "findings.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tiny_run / name).read_bytes()
    findings = json.loads((tiny_run / "findings.json").read_text())["findings"]
    assert [item["title"] for item in findings] == [item.title for item in analysis.findings] and findings
    assert load_request(tiny_run / "request.json") == tiny_request()


def test_the_worst_case_of_the_exact_scale_is_proved_and_no_sample_beats_it(tiny_run: Path) -> None:
    analysis = load_analysis(tiny_run)
    request = tiny_request()
    assert [(case.requests, case.tokens, case.open_arrivals) for case in analysis.worst_cases] == [
        (request.requests, request.tokens, False), (request.requests, request.tokens, True)]
    problem = exact_problem(request, PROFILE)
    for case in analysis.worst_cases:
        assert case.proved and case.proof == "exact" and case.lower == case.upper is not None
        assert case.space in (tiny_run / "report.html").read_text()
        for sample in load_samples(tiny_run):
            if sample.scale == "exact" and (case.open_arrivals or not sample.features["last_arrival"]):
                whole = sample.features["tokens"] == request.requests * request.tokens
                assert not whole or sample.gap <= case.upper
        workload = Workload.of(PROFILE.num_segments, [
            Request(i, arrival, 0, depths) for i, (arrival, depths) in enumerate(zip(case.arrivals, case.depths,
                                                                                     strict=True))], tick=PROFILE.tick)
        gap = GapProblem(InputSpace.around(workload), problem.bound, objective=request.objective)
        assert gap.replay(workload).gap == case.lower
    (finding,) = [item for item in analysis.findings if "small size" in item.title]
    assert finding.evidence == "proved" and "no workload of exactly this kind" in finding.cost


def test_blackbox_proves_nothing_and_the_report_says_so(tmp_path: Path) -> None:
    analysis = analyse_tiny(tmp_path / "run", method="blackbox", evaluations=10, held_out=20)
    assert analysis.worst_cases == ()
    assert any("--method blackbox" in limit for limit in analysis.limits)
    assert "Over all workloads of a size" not in (tmp_path / "run" / "report.html").read_text()


def test_the_report_is_self_contained_and_says_what_the_records_say(tiny_run: Path) -> None:
    text = (tiny_run / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", text) and "@import" not in text
    assert len(text) < 2_000_000
    for finding in load_analysis(tiny_run).findings:
        assert finding.title.split(" loses")[0] in text


def test_tuned_settings_load_into_the_engine(tiny_run: Path) -> None:
    policy, settings = load_policy_config(tiny_run / "tuned.yaml")
    tuning = load_analysis(tiny_run).tuning
    assert tuning is not None
    expected = {item.name: Fraction(item.proposed) for item in tuning.settings} if tuning.accepted else {}
    assert settings == expected
    assert read_policy_config(tiny_run / "tuned.yaml").provenance["profile"] == PROFILE.name
    llm = LLM(model_with(1), policy=policy, settings=settings, max_num_seqs=4)
    (output,) = llm.generate([[1, 2, 3]], SamplingParams(max_tokens=3, ignore_eos=True))
    assert len(output.token_ids) == 3


def test_tune_and_report_run_again_from_the_folder(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "elsewhere" / "run"
    shutil.copytree(tiny_run, run)
    monkeypatch.chdir(tmp_path)
    assert run_command(("report", run)) == 0
    assert capsys.readouterr().out.strip().endswith("report.html")
    assert (run / "report.html").read_text() == (tiny_run / "report.html").read_text()
    assert run_command(("tune", run, "--trials", "6", "--parameter", "batch_limit", "--jobs", "1")) == 0
    assert capsys.readouterr().out.strip().endswith("tuned.yaml")
    tuning = load_analysis(run).tuning
    assert tuning is not None and tuning.searched == ("batch_limit",)
    policy, settings = load_policy_config(run / "tuned.yaml")
    assert policy.name == "drex" and set(settings) <= {"batch_limit"}
    assert replace(load_analysis(run), tuning=None).regions == load_analysis(tiny_run).regions


def test_tune_refuses_what_the_policy_does_not_have(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tiny_run / "analysis.json").read_bytes()
    assert run_command(("tune", tiny_run, "--parameter", "humour")) == 2
    assert "humour" in capsys.readouterr().err
    assert (tiny_run / "analysis.json").read_bytes() == before


def profile_of(segments: int, rows: int) -> CostProfile:
    """A synthetic profile of any number of segments and rows."""
    ramps = segments - 1
    return replace(PROFILE, name=f"{segments} segments", buckets=(rows,),
                   segments=tuple(SegmentCost((900 + 10 * s,), 20) for s in range(segments)),
                   ramps=(LinearCost(50, 2),) * ramps, starts=(400,) * ramps, prefill=PrefillCost(500, 10))


@pytest.mark.parametrize(("segments", "rows", "requests", "tokens"), [
    (1, 4, 2, 2), (3, 4, 2, 2), (2, 1, 3, 2), (2, 8, 1, 1)],
    ids=["no ramps", "two ramps", "one row", "one request of one token"])
def test_unusual_sizes_go_through_search_and_explanation(segments: int, rows: int, requests: int,
                                                         tokens: int) -> None:
    profile = profile_of(segments, rows)
    request = tiny_request(space=default_space(profile.max_rows), requests=requests, tokens=tokens)
    operating, exact = operating_problem(request, profile), exact_problem(request, profile)
    warm_up(operating, exact, lambda _: None)
    rng = np.random.default_rng(1)
    wide = [operating.evaluate(operating.draw(rng), index, "random") for index in range(3)]
    small = [exact.evaluate(exact.draw(rng), index, "random") for index in range(4)]
    assert all(item.proved and item.gap >= 0 for item in small)
    explained = explain(operating, exact, wide, small, (), lambda _: None)
    assert explained.witnesses and explained.attributions
    for attribution in explained.attributions:
        assert sum(cause.ticks for cause in attribution.causes) == attribution.gap


def test_a_table_that_carries_a_shipped_name_is_not_taken_for_it(tmp_path: Path) -> None:
    """The subject is a user's table called no-exit; the benchmark is the shipped one."""
    path = tmp_path / "mine.yaml"
    path.write_text("""
schema: drex-policy/1
name: no-exit
parameters: {batch_limit: {default: 1, low: 1, integer: true}}
launch: [{rule: prefill, action: PREFILL}, {rule: decode, action: RUN(1)}, {rule: drain, action: RUN(s)}]
consult: never
ramp: [{rule: stay, action: CONTINUE}]
join: never
""")
    request = tiny_request(subject=str(path), benchmarks=("no-exit",))
    problem = operating_problem(request, PROFILE)
    point = {**problem.draw(np.random.default_rng(3)), "num_seqs": 6.0, "load": 2.0}
    sample = problem.evaluate(point, 0, "random")
    assert sample.heuristic > sample.upper
    assert problem.config(point) == ServerConfig(6, 6)


def test_hostile_names_are_text_in_the_report(tmp_path: Path) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    space = default_space(PROFILE.max_rows)
    space = replace(space, dimensions=tuple(replace(item, meaning=name, unit="<b>") for item in space.dimensions))
    analyse_tiny(tmp_path / "run", replace(PROFILE, name=name), space=space, command=f"xplain {name}", held_out=20,
                 evaluations=10)
    text = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert" not in text and "<img src=x" not in text
    assert load_samples(tmp_path / "run")
