"""A run's Chrome trace: well-formed events, launches that do not overlap, every request and token in it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.recording import TimelineObserver
from tests.drex_runtime.engine.cases import model_with

PROMPTS = [[1, 2, 3], [4, 5], [6]]


def test_a_trace_holds_every_launch_every_request_and_every_token(tmp_path: Path) -> None:
    llm = LLM(model_with(1, "0.1"), policy="flush-now", max_num_seqs=2)
    timeline = TimelineObserver(llm.engine)
    llm.generate(PROMPTS, SamplingParams(max_tokens=5, ignore_eos=True))
    timeline.save(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    for event in events:
        assert event["ph"] in ("M", "X", "C", "b", "n", "e") and isinstance(event["pid"], int)
        assert event["ph"] == "M" or (isinstance(event["ts"], float) and event["ts"] >= 0)
    launches = [event for event in events if event.get("cat") == "launch"]
    assert len(launches) == llm.engine.statistics.launches
    assert {event["args"]["rule"] for event in launches} >= {"prefill", "decode", "flush@2"}
    assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in pairwise(launches))
    parts = [event for event in events if event.get("cat") == "part" and not event["name"].startswith("decision")]
    slack = 0.01  # us; timestamps are rounded separately
    for part in parts:
        assert sum(one["ts"] - slack <= part["ts"] and part["ts"] + part["dur"] <= one["ts"] + one["dur"] + slack
                   for one in launches) == 1, part
    counters = {event["name"] for event in events if event["ph"] == "C"}
    assert counters == {"waiting", "pool 1 (ready)", "pool 2 (buffered)"}
    for number in range(3):
        own = [event for event in events if event.get("cat") == "request" and event["id"] == number]
        assert [event["ph"] for event in own] == ["b", "b", "e", *"nnnnn", "e"]
        assert own[0]["ts"] == own[1]["ts"] <= own[2]["ts"] <= own[-1]["ts"]
        assert own[3]["ts"] == own[2]["ts"] and own[-2]["ts"] == own[-1]["ts"]
