"""The real Azure trace, where it is present."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from drex_runtime.traces import ExitModel, load_trace, to_workload

BESIDE_CHECKOUT = Path(__file__).resolve().parents[4] / "shared" / "traces"


@pytest.fixture(scope="module")
def azure() -> Path:
    path = Path(os.environ.get("DREX_TRACES", BESIDE_CHECKOUT)) / "azure_llm_2023_conv.csv"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set DREX_TRACES to the folder that holds it")
    return path


def test_every_row_of_the_conversation_trace_is_read(azure: Path) -> None:
    trace = load_trace(azure)
    assert (trace.format, len(trace), trace.rows_read, dict(trace.dropped)) == ("azure", 19366, 19366, {})
    with azure.open() as stream:
        rows = [line.split(",") for line in stream.read().split()[1:] if "," in line]
    assert int(trace.prompt_tokens.sum()) == sum(int(row[1]) for row in rows)
    assert int(trace.output_tokens.sum()) == sum(int(row[2]) for row in rows)
    assert all(trace.arrivals[1:] >= trace.arrivals[:-1])
    assert int(trace.arrivals[-1]) % 100 == 0, "seven fractional digits: whole multiples of 100 ns"


def test_its_first_minute_becomes_a_workload(azure: Path) -> None:
    minute = load_trace(azure).between(0, 60 * 10**9)
    workload = to_workload(minute, ExitModel((Fraction(1, 2),), Fraction(1, 2)), seed=7)
    assert len(workload.requests) == len(minute)
    assert workload.num_tokens == int(minute.output_tokens.sum())
    assert "azure trace azure_llm_2023_conv.csv" in workload.source and "seed 7" in workload.source
