"""A saved result gives the compact table, also a file of an earlier version; what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.bench.saved import read_bench
from drex_runtime.errors import InputError
from tests.drex_runtime.test_examples import EXAMPLES, script

SCRIPT = script(EXAMPLES / "benchmarks" / "bench_table.py")
ABOUT = {"model": "demo", "max_num_seqs": 16, "device": "a processor", "threads": 1, "command": "drex bench"}


def rows_of(case: str, **throughputs: list[float]) -> list[dict[str, Any]]:
    return [{"case": case, "exit_rate": 0.5, "policy": name.replace("_", "-"), "tokens_per_second": 0.0,
             "ratio": {"median": 0.0, "min": 0.0, "max": 0.0},
             "rounds": [{"tokens_per_second": value, "seconds": 1.0} for value in values]}
            for name, values in throughputs.items()]


def saved(path: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    path.write_text(json.dumps({"schema": "drex-bench/1", "about": ABOUT, "rows": rows, "notes": [], **more}))
    return path


def test_an_earlier_file_gives_medians_and_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    base = [100.0, 200, 100, 100, 100, 100]
    path = saved(tmp_path / "old.json", [
        *rows_of("0", no_exit=base, drex=[90.0, 192, 93, 94, 95, 97]),
        *rows_of("0.5", no_exit=base, drex=[150.0, 180, 101, 105, 99, 110])])
    monkeypatch.setattr("sys.argv", ["bench_table.py", str(path), "--out", str(tmp_path / "table.md")])
    SCRIPT.main()
    out = capsys.readouterr().out
    assert out.splitlines()[-3:] == [
        "| tokens/s / no-exit at exit rate | 0 | 0.5 |", "|---|---|---|",
        "| drex | 0.94 [0.90, 0.97] | 1.03 [0.90, 1.50] = |"]
    assert "6 rounds, level 96.9%" in out and (tmp_path / "table.md").read_text() == out


def test_the_fill_table_follows(tmp_path: Path) -> None:
    fills = [{**row, "policy": "flush-now", "fill": row["policy"], "preemptions": 2.5,
              "occupancy": {"mean_in_flight": 7.0, "most_in_flight": 9, "cells_per_token": 2.4, "bytes_saved": 10.5}}
             for row in rows_of("0.8", share=[120.0], propagate=[100.0])]
    path = saved(tmp_path / "b.json", rows_of("0.8", no_exit=[90.0], flush_now=[99.0]), kv_fills={
        "policy": "flush-now", "against": "propagate", "pool_bytes": 4096, "pool_sequences": 2, "rows": fills})
    lines = list(SCRIPT.report(read_bench(path)))
    assert "| flush-now | 1.10 |" in lines
    assert lines[-2:] == ["| 0.8 | share | 7.00 | 2.5 | 2.40 | 1.20 |",
                          "| 0.8 | propagate | 7.00 | 2.5 | 2.40 | 1 |"]


@pytest.mark.parametrize(("rows", "said"), [
    ([], "rows"), (rows_of("0", drex=[1.0]), "no-exit"), (rows_of("0", no_exit=[1.0, 2], drex=[1.0]), "as many"),
    (rows_of("0", no_exit=[0.0]), "tokens_per_second"), (rows_of("0", no_exit=[]), "rounds")])
def test_what_cannot_be_compared_is_named(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_bench(saved(tmp_path / "b.json", rows))


def test_a_bad_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench_table.py", str(tmp_path / "missing.json")])
    with pytest.raises(SystemExit, match="2"):
        SCRIPT.main()
    assert "missing.json" in capsys.readouterr().err
