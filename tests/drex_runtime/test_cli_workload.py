"""`drex workload`: traces become workload files, and a slip is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.records import load_workload
from tests.drex_runtime.test_cli import drex

RECORDING = Path(__file__).resolve().parents[2] / "examples" / "workloads" / "recording.jsonl"
MOONCAKE = "".join(f'{{"timestamp": {1500 * row}, "input_length": 10, "output_length": 4}}\n' for row in range(20))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    path.write_text(MOONCAKE)
    return path


def test_a_trace_becomes_a_workload_that_says_how(trace: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    out = trace.with_name("w.json")
    code, printed, err = drex(monkeypatch, capsys, "workload", str(trace), "--out", str(out), "--exit-rates",
                              "0.3, 1/5", "--persistence", "0.4", "--seed", "5", "--start", "1.5", "--seconds", "9",
                              "--first", "5", "--speed", "1.5", "--tick", "us")
    assert (code, err) == (0, "") and printed.endswith(f"5 requests, 20 output tokens, 2 ramps\n{out}\n")
    made = load_workload(out)
    assert [request.arrival for request in made.requests] == [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000]
    for part in ("mooncake trace trace.jsonl: 5 of 20 rows", "0.3, 0.2", "persistence 0.4", "seed 5", "rate x 3/2"):
        assert part in made.source


def test_the_same_command_writes_the_same_bytes(trace: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    outs = [trace.with_name(name) for name in ("a.json", "b.json")]
    for out in outs:
        drex(monkeypatch, capsys, "workload", str(trace), "--out", str(out), "--exit-rates", "0.5")
    assert outs[0].read_bytes() == outs[1].read_bytes()


@pytest.mark.parametrize(("arguments", "part"), [
    ((), "an exit model"),
    (("--exit-rates", "0.8,0.8"), "sum is at most 1"),
    (("--exit-rates", "nan"), "nan"),
    (("--exit-rates", ""), "--exit-rates"),
    (("--exit-rates", "0.5", "--persistence", "2"), "persistence = 2"),
    (("--exit-rates", "0.5", "--speed", "0"), "factor"),
    (("--exit-rates", "0.5", "--start", "-1"), "--start"),
    (("--exit-rates", "0.5", "--seconds", "0"), "a window with arrivals"),
    (("--exit-rates", "0.5", "--start", "1e9"), "--start"),
    (("--exit-rates", "0.5", "--tick", "ms"), "--tick"),
    (("--exit-rates", "0.5", "--format", "azure"), "column TIMESTAMP"),
])
def test_a_slip_is_one_line_and_leaves_no_file(trace: Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
                                               part: str) -> None:
    out = trace.with_name("w.json")
    code, _, err = drex(monkeypatch, capsys, "workload", str(trace), "--out", str(out), *arguments)
    assert code == 2 and err.count("\n") == 1 and part in err, err
    assert not out.exists()


def test_a_recording_with_unknown_depths_needs_a_model_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    command = ("workload", str(RECORDING), "--out", str(tmp_path / "w.json"))
    code, _, err = drex(monkeypatch, capsys, *command)
    assert code == 2 and "unknown" in err
    code, _, err = drex(monkeypatch, capsys, *command, "--exit-rates", "0.3,0.2")
    assert code == 2 and "num_segments" in err
    code, printed, _ = drex(monkeypatch, capsys, *command, "--exit-rates", "0.3")
    assert code == 0 and "unknown ones filled" in printed
