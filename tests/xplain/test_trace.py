"""`xplain analyze --trace`: an own recording end to end, and what the user is told of depths that were drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.traces import UNKNOWN, RecordedRequest, write_recording
from tests.xplain.tiny import run_command, saved_profile

LIGHT = ("--evaluations", "12", "--requests", "2", "--tokens", "2", "--jobs", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a profile in it."""
    monkeypatch.chdir(tmp_path)
    saved_profile(tmp_path)
    return tmp_path


def recording(path: Path, unknown: int = 0) -> None:
    rng = np.random.default_rng(3)
    arrivals = np.cumsum(rng.exponential(400, 60)).astype(int).tolist()
    requests = [RecordedRequest(n, arrival, 5, (2, *rng.integers(1, 3, rng.integers(2, 8)).tolist()))
                for n, arrival in enumerate(arrivals)]
    for n in range(unknown):
        requests[n] = RecordedRequest(n, requests[n].arrival, 5, (2, UNKNOWN, *requests[n].depths[2:]))
    write_recording(path, 2, requests)


def test_a_recording_is_analysed_tuned_and_tuned_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(folder / "run.jsonl")
    assert run_command(("analyze", "drex", "--profile", "profile.json", "--trace", "run.jsonl", *LIGHT,
                        "--out", "runs/trace")) == 0
    analysis = json.loads((folder / "runs/trace/analysis.json").read_text())
    assert [item["name"] for item in analysis["dimensions"]] == ["load", "window", "num_seqs"]
    said = " ".join(analysis["limits"])
    assert "windows of a trace" in said and "depths recorded" in said and "60 requests" in said
    assert "depths recorded" in (folder / "runs/trace/report.html").read_text()
    assert (folder / "runs/trace/tuned.yaml").exists()
    (folder / "run.jsonl").unlink()  # the run folder has all that a later stage needs
    assert run_command(("tune", "runs/trace", "--trials", "3", "--parameter", "flush_size", "--jobs", "1")) == 0
    assert run_command(("report", "runs/trace")) == 0


def test_unknown_depths_need_stated_rates_and_are_counted_in_the_report(folder: Path,
                                                                      capsys: pytest.CaptureFixture[str]) -> None:
    recording(folder / "run.jsonl", unknown=7)
    common = ("analyze", "flush-now", "--profile", "profile.json", "--trace", "run.jsonl", *LIGHT, "--out", "runs/t")
    assert run_command(common) == 2
    assert "7 unknown" in capsys.readouterr().err
    assert run_command((*common, "--exit-rates", "0.5")) == 0
    said = " ".join(json.loads((folder / "runs/t/analysis.json").read_text())["limits"])
    assert "7 unknown ones filled" in said


def test_a_public_trace_needs_stated_rates_and_options_of_a_trace_need_one(
        folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "\n".join(f"2024-05-10 00:00:{n:02d}.0000000,{n + 3},{n % 5 + 2}" for n in range(50))
    (folder / "azure.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}\n")
    common = ("analyze", "flush-now", "--profile", "profile.json", *LIGHT, "--out", "runs/t")
    assert run_command((*common, "--trace", "azure.csv")) == 2
    assert "exit model" in capsys.readouterr().err
    assert run_command((*common, "--exit-rates", "0.5")) == 2
    assert "--trace" in capsys.readouterr().err
    assert run_command((*common, "--trace", "azure.csv", "--exit-rates", "0.2,0.2")) == 2
    assert "num_segments" in capsys.readouterr().err
