"""The engine's own recordings: what is written reads back, and unknown never means full depth."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from drex_runtime.errors import InputError, RecordError
from drex_runtime.traces import UNKNOWN, ExitModel, RecordedRequest, load_trace, to_workload, write_recording

REQUESTS = (
    RecordedRequest(3, 50, 7, (3, 1, 2), (None, (0.9, None), (0.1, 0.7)), due=900, ttft=20, tpot=5),
    RecordedRequest(1, 0, 0, (1, 3)),
)


def test_a_recording_reads_back_sorted_and_in_nanoseconds(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, 3, REQUESTS, model="demo")
    trace = load_trace(path)
    assert (trace.format, trace.num_segments) == ("recording", 3)
    assert trace.arrivals.tolist() == [0, 50_000]
    assert trace.recorded is not None
    first, second = trace.recorded
    assert (first.id, first.depths) == (1, (1, 3))
    assert second == RecordedRequest(3, 50_000, 7, (3, 1, 2), (None, (0.9, None), (0.1, 0.7)), 900_000, 20_000, 5_000)
    assert trace.notes == ("sorted by arrival (1 rows came before their predecessor)",)


def test_a_complete_recording_is_a_workload_without_any_model(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, 3, REQUESTS)
    workload = to_workload(load_trace(path), tick="us")
    assert [(r.id, r.arrival, r.depths, r.due, r.ttft, r.tpot) for r in workload.requests] == [
        (1, 0, (1, 3), None, None, None), (3, 50, (3, 1, 2), 900, 20, 5)]
    assert "depths recorded" in workload.source and "rounded down to us" in workload.source


def test_unknown_depths_need_a_model_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, 2, [RecordedRequest(0, 0, 5, (UNKNOWN, 2, UNKNOWN)), RecordedRequest(1, 9, 0, (1, UNKNOWN))])
    assert '"unknown"' in path.read_text()
    trace = load_trace(path)
    assert trace.notes == ("3 of 5 depths unknown",)
    with pytest.raises(InputError, match="2 unknown"):  # the prefill token's depth follows
        to_workload(trace)
    workload = to_workload(trace, ExitModel((Fraction(1),)))
    assert [r.depths for r in workload.requests] == [(2, 2, 1), (1, 1)]
    assert "2 unknown ones filled" in workload.source


def test_an_unknown_prefill_token_alone_needs_no_model(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, 2, [RecordedRequest(0, 0, 5, (UNKNOWN, 1))])
    assert to_workload(load_trace(path)).requests[0].depths == (2, 1)


def test_writing_an_impossible_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="depths"):
        write_recording(tmp_path / "run.jsonl", 2, [RecordedRequest(0, 0, 0, (3,))])
    assert not list(tmp_path.iterdir())


ROW = {"id": 0, "arrival": 0, "prompt_tokens": 0, "depths": [1]}


@pytest.mark.parametrize(("change", "field"), [
    ({"depths": [4]}, "depths.0"), ({"depths": [0]}, "depths.0"), ({"depths": ["full"]}, "depths.0"),
    ({"depths": [None]}, "depths.0"), ({"depths": []}, "depths"), ({"depths": 1}, "depths"),
    ({"depths": [1.5]}, "depths.0"), ({"depths": [1], "prompt_tokens": 3}, "depths.0"),
    ({"arrival": -1}, "arrival"), ({"arrival": 0.5}, "arrival"), ({"arrival": 2**60}, "arrival"),
    ({"arrival": None}, "arrival"), ({"id": -1}, "id"), ({"id": "zero"}, "id"), ({"prompt_tokens": True}, "prompt"),
    ({"confidences": [[0.5]]}, "confidences.0"), ({"confidences": [[2, 0]]}, "confidences.0"),
    ({"confidences": []}, "confidences"), ({"deadline": 3}, "deadline"), ({"due": -3}, "due"),
])
def test_a_bad_request_is_named(tmp_path: Path, change: dict[str, object], field: str) -> None:
    path = tmp_path / "run.jsonl"
    header = {"schema": "drex-recording/1", "num_segments": 3}
    path.write_text(json.dumps(header) + "\n" + json.dumps(ROW | change) + "\n")
    with pytest.raises(InputError, match=f"run.jsonl: line 2, {field}"):
        load_trace(path)


@pytest.mark.parametrize(("header", "field"), [
    ({"schema": "drex-recording/1"}, "num_segments"), ({"schema": "drex-recording/1", "num_segments": 0}, "num_segm"),
    ({"schema": "drex-recording/1", "num_segments": 3, "tick": "s"}, "tick"),
    ({"schema": "drex-recording/2", "num_segments": 3}, "schema"),
])
def test_a_bad_header_is_named(tmp_path: Path, header: dict[str, object], field: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(header) + "\n" + json.dumps(ROW) + "\n")
    with pytest.raises(InputError, match=f"line 1, {field}"):
        load_trace(path, "recording")


def test_duplicate_ids_and_empty_recordings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    header = json.dumps({"schema": "drex-recording/1", "num_segments": 3})
    path.write_text("\n".join([header, json.dumps(ROW), json.dumps(ROW)]))
    with pytest.raises(InputError, match="line 3, id = 0: expected each id once"):
        load_trace(path)
    path.write_text(header)
    with pytest.raises(InputError, match="at least one request"):
        load_trace(path)
