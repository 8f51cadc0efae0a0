"""Long traces are streamed: memory per row stays near three integers."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from drex_runtime.traces import load_trace
from tests.scale import scaled


def test_many_rows(tmp_path: Path) -> None:
    count = scaled(50_000, 1_000_000)
    path = tmp_path / "trace.csv"
    with path.open("w") as stream:
        stream.write("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n")
        stream.writelines(f"{row}.5,ChatGPT,{row % 4000},{row % 500},0,API log\n" for row in range(count))
    tracemalloc.start()
    trace = load_trace(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(trace) + trace.dropped["failed: 0 response tokens"] == count
    assert peak < 150 * count + 2_000_000, f"{peak / count:.0f} bytes per row"
