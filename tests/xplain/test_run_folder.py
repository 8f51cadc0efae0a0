"""A run folder is complete or not there: full disks, interrupts, damaged records."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from tests.xplain.report.example import example
from tests.xplain.tiny import run_command, saved_profile, tiny_request
from xplain import pipeline
from xplain.run_folder import load_analysis, load_samples, new_run_folder, save_analysis
from xplain.search import METHODS

COMPLETE = {"analysis.json", "findings.json", "profile.json", "report.html", "request.json", "samples.parquet",
            "samples-exact.parquet", "tuned.yaml"}


def everything_in(folder: Path) -> list[str]:
    """All names below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_folder_appears_only_when_the_block_ends_well(tmp_path: Path) -> None:
    with new_run_folder(tmp_path / "runs" / "a") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "runs" / "a").exists()
    assert everything_in(tmp_path) == ["runs", "runs/a", "runs/a/file"]


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_block_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), new_run_folder(tmp_path / "a") as partial:
        (partial / "file").write_text("x")
        raise error
    assert everything_in(tmp_path) == []


def test_two_runs_into_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a: folder"), new_run_folder(tmp_path / "a"):
        (tmp_path / "a").mkdir()  # another run was faster
        (tmp_path / "a" / "file").write_text("theirs")
    assert everything_in(tmp_path) == ["a", "a/file"]
    with pytest.raises(InputError, match="exists"), new_run_folder(tmp_path / "a"):
        pass


@pytest.mark.parametrize("full_after", [0, 3, 5])
def test_a_full_disk_is_one_line_and_leaves_nothing(full_after: int, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever file the disk gets full at. Only the writing of the folder runs, on records made up quickly."""
    written = 0
    real = os.fsync

    def fsync(handle: int) -> None:
        nonlocal written
        written += 1
        if written > full_after:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.chdir(tmp_path)
    profile = saved_profile(tmp_path)
    monkeypatch.setattr(os, "fsync", fsync)
    _without_the_work(monkeypatch)
    code = run_command(("analyze", "drex", "--profile", profile, "--evaluations", "10", "--out", "runs/a"))
    captured = capsys.readouterr()
    assert code == 2, captured
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 1 and "No space left on device" in lines[0]
    assert everything_in(Path("runs")) == []


def _without_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that take long are left out: what is tested is the writing."""
    analysis, samples = example()
    outcome = pipeline.SearchOutcome(samples, (), True)
    monkeypatch.setattr(pipeline, "warm_up", lambda *_: None)
    monkeypatch.setattr(pipeline.worst_case, "warm_up", lambda *_: None)
    monkeypatch.setattr(pipeline.worst_case, "worst_cases", lambda *_: ((), ()))
    monkeypatch.setattr(pipeline, "search", lambda *_: outcome)
    monkeypatch.setattr(pipeline, "sample_held_out", lambda *_: ())
    monkeypatch.setattr(pipeline, "find_regions", lambda *_, **__: ())
    monkeypatch.setattr(pipeline, "explain", lambda *_: pipeline.Explained((), ()))
    monkeypatch.setattr(pipeline, "tune", lambda *_, **__: None)
    monkeypatch.setattr(pipeline, "assemble", lambda *_: analysis)


def test_interrupted_by_ctrl_c_nothing_is_left(tmp_path: Path) -> None:
    saved_profile(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", "from xplain.cli import main; main()", "analyze", "drex", "--profile", "profile.json",
         "--evaluations", "1000000", "--requests", "2", "--tokens", "2", "--out", "runs/a"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/.a.partial-*/profile.json")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert out == "" and "Traceback" not in err
    assert everything_in(tmp_path) == ["profile.json", "runs"]


def test_the_folder_is_complete_and_reads_back(tiny_run: Path) -> None:
    assert {path.name for path in tiny_run.iterdir()} == COMPLETE | {"certificates"}
    assert all(path.stat().st_mode & 0o044 for path in tiny_run.iterdir())
    request = tiny_request()
    samples = load_samples(tiny_run)
    counts = {(scale, origin): sum(item.scale == scale and item.origin == origin for item in samples)
              for scale in ("operating", "exact") for origin in ("random", *METHODS, "held-out")}
    assert request.evaluations is not None
    for scale in ("operating", "exact"):
        assert sum(counts[scale, origin] for origin in ("random", *METHODS)) == request.evaluations
    assert counts["operating", "held-out"] == request.held_out
    analysis = load_analysis(tiny_run)
    held_out = [item for item in samples if item.origin == "held-out"]
    bad = sum(item.relative_gap >= analysis.threshold for item in held_out)
    assert analysis.bad_share["operating"].value == bad / len(held_out)
    for attribution in analysis.attributions:
        assert sum(cause.ticks for cause in attribution.causes) == attribution.gap


@pytest.mark.parametrize("name", sorted(COMPLETE - {"report.html", "findings.json", "tuned.yaml"}))
@pytest.mark.parametrize("damage", ["missing", "cut off"])
@pytest.mark.parametrize("command", ["report", "tune"])
def test_a_damaged_record_is_one_line(name: str, damage: str, command: str, tiny_run: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    needs = {"report": {"analysis.json", "samples.parquet", "samples-exact.parquet"},
             "tune": COMPLETE}[command]
    if name not in needs or (damage, name) == ("missing", "samples-exact.parquet"):
        return  # not read, or written only if there are such samples
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    if damage == "missing":
        (run / name).unlink()
    else:
        (run / name).write_bytes((run / name).read_bytes()[:40])
    before = everything_in(run)
    capsys.readouterr()
    assert run_command((command, run)) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert len(lines) == 1 and name in lines[0] and "Traceback" not in captured.err
    assert everything_in(run) == before


def test_what_was_not_found_reads_back(tmp_path: Path) -> None:
    """A worst case of which nothing is known, no tuning, no heat map: None is a value, not a missing field."""
    analysis, _ = example()
    unknown = replace(analysis.worst_cases[0], stopped="time-limit", proof=None, lower=None, upper=None, heuristic=None,
                      benchmark=None, arrivals=(), depths=())
    analysis = replace(analysis, worst_cases=(unknown, *analysis.worst_cases), tuning=None, heat_map=None)
    save_analysis(tmp_path, analysis)
    assert load_analysis(tmp_path) == analysis
