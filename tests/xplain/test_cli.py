"""Every mistake a user can make: one line that says what is wrong, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.xplain.tiny import run_command, saved_profile
from xplain.problems.generator import default_space

LIGHT = ("--evaluations", "10", "--requests", "2", "--tokens", "2")
IDLER = """
schema: drex-policy/1
name: idler
parameters: {batch_limit: {default: batch_max, low: 1, integer: true}}
launch: [{rule: never, action: RUN(1), when: ready > n_max}]
consult: always
ramp: [{rule: stay, action: CONTINUE}]
join: never
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a profile in it."""
    monkeypatch.chdir(tmp_path)
    saved_profile(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run `xplain`; the one line it must print on stderr."""
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()]
    assert captured.out == "" and len(lines) == 1, captured
    assert lines[0].startswith("xplain: ") and "Traceback" not in lines[0]
    return lines[0]


def analyze_refused(capsys: pytest.CaptureFixture[str], subject: str, *options: str | Path) -> str:
    """`xplain analyze` in the working directory must be refused and leave no run folder, not even a partial one."""
    line = refused(capsys, "analyze", subject, "--profile", "profile.json", *LIGHT, *options, "--out", "runs/new")
    assert not [path for path in Path("runs").rglob("*")] if Path("runs").exists() else True
    return line


@pytest.mark.parametrize(("options", "said"), [
    (("nosuch",), "nosuch"),
    (("majority",), "forces exits"),
    (("greedy",), "forces exits"),
    (("latency-only",), "holds finished rows"),
    (("drex", "--benchmark", "nonsense"), "policy:NAME"),
    (("drex", "--benchmark", "policy:nonsense"), "nonsense"),
    (("drex", "--benchmark", "policy:majority"), "forces exits"),
    (("drex", "--benchmark", "policy:no-exit", "--benchmark", "policy:no-exit"), "different names"),
    (("drex", "--set", "flush_size"), "name=value"),
    (("drex", "--set", "nosuch=3"), "unknown parameter 'nosuch'"),
    (("drex", "--set", "flush_size=0"), "flush_size = 0"),
    (("drex", "--set", "flush_size=2.5"), "an integer"),
    (("drex", "--set", "art_factor=1/0"), "exact number"),
    (("drex", "--set", "art_factor=online"), "the analyzer needs frozen parameters"),
    (("drex", "--set", "alpha=nan"), "exact number"),
    (("drex", "--objective", "speed"), "total-completion, makespan, misses"),
    (("drex", "--similarity", "2", "--exit-rates", "0.5"), "--trace"),
    (("drex", "--benchmark", "best-params", "--benchmark", "best-params"), "different names"),
    (("drex", "--method", "guess"), "auto, enumerate, milp, smt, blackbox"),
    (("drex", "--solver", "cplex"), "auto, highs, cpsat, gurobi"),
    (("drex", "--method", "blackbox", "--solver", "highs"), "solver"),
    (("drex", "--method", "smt", "--solver", "cpsat"), "solver"),
    (("drex", "--threshold", "nan"), "threshold"),
    (("drex", "--threshold", "-1"), "threshold"),
    (("drex", "--budget", "nan"), "budget"),
    (("drex", "--budget", "0"), "budget"),
    (("drex", "--evaluations", "0"), "evaluations"),
    (("drex", "--requests", "0"), "requests"),
    (("drex", "--requests", "1000"), "requests"),
    (("drex", "--tokens", "0"), "tokens"),
    (("drex", "--jobs", "0"), "jobs"),
    (("drex", "--seed", "-1"), "seed"),
    (("drex", "--max-num-seqs", "0"), "num_seqs"),
    (("drex", "--max-num-seqs", "100000"), "num_seqs"),
    (("drex", "--space", "nosuch.yaml"), "nosuch.yaml"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_bad_options_are_refused(options: tuple[str, ...], said: str, folder: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert said in analyze_refused(capsys, *options)


@pytest.mark.skipif(find_spec("gurobipy") is not None, reason="gurobipy is installed")
def test_a_solver_that_is_not_installed_is_refused_before_any_work(folder: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert "gurobi" in analyze_refused(capsys, "drex", "--method", "milp", "--solver", "gurobi")


@pytest.mark.parametrize(("text", "said"), [
    ("][", "subject.yaml"),
    ("a: &x 1\nb: *x\n", "anchor"),
    ("!!python/object/apply:os.system ['touch hacked']\n", "tag"),
    (IDLER.replace("ready > n_max", "__import__('os').system('touch hacked')"), "subject.yaml"),
    (IDLER.replace("ready > n_max", "tomorrow > 3"), "tomorrow"),
    (IDLER.replace("action: RUN(1)", "action: RUN(9)"), "pool 9"),
    (IDLER.replace("launch:", "lunch:"), "lunch"),
    (IDLER.replace("name: idler", "name: <b>idler</b>"), "policy name"),
    (IDLER, "idles for ever"),
], ids=["not YAML", "anchors", "tag", "code", "unknown name", "pool that does not exist", "unknown field", "name",
        "idles for ever"])
def test_bad_policy_files_are_refused(text: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "subject.yaml").write_text(text)
    assert said in analyze_refused(capsys, "subject.yaml")
    assert not (folder / "hacked").exists()


def edited(change: Callable[[dict[str, Any]], object]) -> None:
    """Edit profile.json in place."""
    path = Path("profile.json")
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(("change", "said"), [
    (lambda data: data["segments"].pop(), "ramps"),
    (lambda data: data.pop("segments"), "segments"),
    (lambda data: data["segments"][1]["fixed"].reverse(), "segments.1.fixed"),
    (lambda data: data["segments"][0].update(per_row=-1), "per_row"),
    (lambda data: data["segments"][0].update(per_row=float("nan")), "NaN"),
    (lambda data: data.update(starts=[1.5]), "starts"),
    (lambda data: data.update(tick="minutes"), "tick"),
    (lambda data: data.update(colour="red"), "colour"),
    (lambda data: data.update(schema="something/9"), "schema"),
    (lambda data: data.update(buckets=[4, 2, 1, 8]), "buckets"),
], ids=["missing segment", "no segments", "decreasing cost", "negative", "NaN", "fraction", "unit", "unknown field",
        "schema", "buckets"])
def test_bad_profiles_are_refused(change: Callable[[dict[str, Any]], object], said: str, folder: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    edited(change)
    line = analyze_refused(capsys, "drex")
    assert said in line and "profile.json" in line


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe", b"{" * 100_000],
                         ids=["missing", "empty", "cut off", "a list", "not UTF-8", "deep"])
def test_unreadable_profiles_are_refused(content: bytes | None, folder: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "profile.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert "profile.json" in analyze_refused(capsys, "drex")


def space(**changes: dict[str, object]) -> dict[str, Any]:
    """The default space as YAML data with fields of some dimensions changed."""
    default = default_space(8)
    rows = [{**asdict(item), **changes.get(item.name, {})} for item in default.dimensions]
    return {"name": default.name, "dimensions": rows}


@pytest.mark.parametrize(("data", "said"), [
    ({"name": "s", "dimensions": []}, "missing"),
    ({"name": "s", "dimensions": [{"name": "humour", "low": 0, "high": 1}]}, "humour"),
    ([1, 2], "dict"),
    (space(load={"low": 3.0}), "low <= high"),
    (space(load={"low": float("nan")}), "finite"),
    (space(load={"low": 0.0}), "load"),
    (space(load={"low": -1.0}), "load"),
    (space(exit_rate={"high": 1.5}), "exit_rate"),
    (space(persistence={"low": -0.5}), "persistence"),
    (space(output_tokens={"low": 0, "log": False}), "output_tokens"),
    (space(prompt_tokens={"low": -3, "log": False}), "prompt_tokens"),
    (space(num_seqs={"low": 0, "log": False}), "num_seqs"),
    (space(num_seqs={"integer": "maybe"}), "integer"),
    (space(load={"colour": "red"}), "colour"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_bad_spaces_are_refused(data: object, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "space.yaml").write_text(yaml.safe_dump(data))
    assert said in analyze_refused(capsys, "drex", "--space", "space.yaml")


def test_malformed_space_yaml_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("][", "!!python/object/apply:os.system ['touch hacked']", "a: " + "[" * 5000):
        (folder / "space.yaml").write_text(text)
        assert "space.yaml" in analyze_refused(capsys, "drex", "--space", "space.yaml")
    assert not (folder / "hacked").exists()


def test_an_existing_run_folder_is_not_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "runs" / "old").mkdir(parents=True)
    (folder / "runs" / "old" / "note").write_text("mine")
    line = refused(capsys, "analyze", "drex", "--profile", "profile.json", *LIGHT, "--out", "runs/old")
    assert "exists" in line
    assert [path.name for path in (folder / "runs").rglob("*")] == ["old", "note"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_place_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "closed").mkdir()
    (folder / "closed").chmod(stat.S_IRUSR | stat.S_IXUSR)
    line = refused(capsys, "analyze", "drex", "--profile", "profile.json", *LIGHT, "--out", "closed/new")
    assert "writable" in line


def test_a_place_below_a_file_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "analyze", "drex", "--profile", "profile.json", *LIGHT, "--out", "profile.json/new")
    assert "profile.json/new" in line


@pytest.mark.parametrize("command", ["report", "tune"])
def test_what_is_no_run_folder_is_refused(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nosuch", ".", "profile.json"):
        refused(capsys, command, name)


@pytest.mark.parametrize("arguments", [(), ("analyze",), ("analyze", "drex", "--budget", "soon"), ("nosuch",),
                                       ("analyze", "drex", "--nosuch")], ids=" ".join)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert not (folder / "runs").exists()
