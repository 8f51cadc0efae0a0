"""Same seed, same result; interrupted and resumed, same result: for case studies and for policies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from drex_runtime.errors import InputError
from tests.xplain.studies.cli import written
from tests.xplain.tiny import PROFILE, analyse_tiny, run_command, tiny_request
from xplain import pipeline
from xplain.pipeline import analyze
from xplain.records import SearchTrace
from xplain.stages import Stages, kept_stages, request_key, store_of
from xplain.studies import analyze as study
from xplain.studies.open import open_problem
from xplain.studies.record import StudyAnalysis
from xplain.studies.request import StudyRequest

TIMES = {"seconds", "date"}


def timeless(run: Path) -> tuple[Any, list[dict[str, Any]]]:
    """analysis.json and the samples without what a clock says; names of the run replaced."""
    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: cleaned(each) for name, each in value.items() if name not in TIMES | {"progress"}}
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        return value.replace(str(run), "RUN") if isinstance(value, str) else value

    analysis = cleaned(json.loads((run / "analysis.json").read_text()))
    for trace in analysis["traces"]:
        trace["improvements"] = [each[1:] for each in trace["improvements"]]
    return analysis, pl.read_parquet(run / "samples.parquet").drop("seconds").to_dicts()


def first_fit(out: Path, told: list[str] | None = None, **changes: Any) -> StudyAnalysis:
    fields: dict[str, Any] = {"evaluations": 60, "held_out": 80, **changes}
    tell: Callable[[str], None] = (lambda _: None) if told is None else told.append
    return study.analyze_study(StudyRequest("first-fit", **fields), open_problem("first-fit", {}), out, tell)


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def without_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is a function of the analysis, and drawing it takes longer than the analysis."""
    monkeypatch.setattr(study, "write_study_report", lambda *_: None)


STAGES = ("search", "fresh_samples", "search_outside", "regions_of", "heat_maps_of", "witnesses_of", "assemble")


@pytest.mark.parametrize("stage", STAGES)
def test_a_study_interrupted_before_a_stage_goes_on(stage: str, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    first_fit(whole)
    with monkeypatch.context() as patch:
        patch.setattr(study, stage, interrupt)
        with pytest.raises(KeyboardInterrupt):
            first_fit(cut)
    assert not cut.exists()
    assert store_of(cut).exists() == (stage != "search"), "nothing is left of an analysis that had finished no stage"
    told: list[str] = []
    first_fit(cut, told)
    assert sum("finished before, kept" in line for line in told) == STAGES.index(stage)
    assert timeless(whole) == timeless(cut)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "cut"}


@pytest.mark.slow
def test_a_policy_interrupted_before_tuning_goes_on(tiny_run: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "tune", interrupt)
        with pytest.raises(KeyboardInterrupt):
            analyse_tiny(out)
    told: list[str] = []
    analyze(tiny_request(), PROFILE, out, told.append)
    assert sum("finished before, kept" in line for line in told) == 8
    assert timeless(out) == timeless(tiny_run)


SLOW = """
import time
from pathlib import Path
class Mine(Case):
    dimensions = (Dimension("x", 0, 1), Dimension("y", 0, 1))
    def heuristic(self, point):
        time.sleep(0.001)
        return 1 + (point["x"] > 0.5 and point["y"] > 0.3)
    def benchmark(self, point):
        return 1
"""


def test_killed_in_the_middle_of_a_stage_and_started_again(tmp_path: Path) -> None:
    """SIGKILL, nothing is cleaned up: once a stage is done, the next one has begun."""
    subject = written(tmp_path, SLOW)

    def arguments(name: str) -> list[str]:
        return ["analyze", subject, "--evaluations", "100", "--out", str(tmp_path / name)]

    process = subprocess.Popen([sys.executable, "-c", "from xplain.cli import main; main()", *arguments("cut")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (store_of(tmp_path / "cut") / "01-search.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)  # the next stage takes a second at least
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "cut").exists() and not (store_of(tmp_path / "cut") / "02-held-out.json").exists()
    for name in ("whole", "cut"):
        assert run_command(arguments(name)) == 0
    found, expected = timeless(tmp_path / "cut"), timeless(tmp_path / "whole")
    assert found == expected
    assert not store_of(tmp_path / "cut").exists()


def test_another_request_of_the_same_name_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(study, "witnesses_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            first_fit(tmp_path / "run", seed=1)
    told: list[str] = []
    found = first_fit(tmp_path / "run", told, seed=2)
    assert any("stages are dropped" in line for line in told)
    first_fit(tmp_path / "other", seed=2)
    assert timeless(tmp_path / "run") == timeless(tmp_path / "other") and found.provenance.seed == 2


def test_what_decides_the_result_is_in_the_key_and_nothing_else() -> None:
    one = StudyRequest("first-fit", evaluations=50)
    assert request_key(one) == request_key(StudyRequest("first-fit", evaluations=50, jobs=7, command="xplain ..."))
    for other in (StudyRequest("first-fit", evaluations=51), StudyRequest("first-fit", evaluations=50, seed=1),
                  StudyRequest("first-fit", evaluations=50, files={"mine.py": "another content"})):
        assert request_key(one) != request_key(other)


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    with kept_stages(tmp_path / "run", "key"), pytest.raises(InputError, match="another process"), \
            kept_stages(tmp_path / "run", "key"):
        pass


def test_a_stage_that_cannot_be_read_is_done_again(tmp_path: Path) -> None:
    trace = SearchTrace("random", "exact", 3, 0.1, float("-inf"), ((0.1, 1, 0.1 + 0.2),))
    first = Stages(tmp_path)
    assert first.run("trace", SearchTrace, lambda: trace) == trace
    assert Stages(tmp_path).run("trace", SearchTrace, lambda: interrupt()) == trace
    (tmp_path / "01-trace.json").write_text('{"method": 3')
    told: list[str] = []
    assert Stages(tmp_path, told.append).run("trace", SearchTrace, lambda: trace) == trace
    assert "done again" in told[0]


def test_the_same_seed_gives_the_same_analysis_and_another_one_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        first_fit(tmp_path / name, seed=seed, jobs=1 if name == "a" else 2)
    assert timeless(tmp_path / "a") == timeless(tmp_path / "b") != timeless(tmp_path / "c")
