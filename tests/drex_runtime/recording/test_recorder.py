"""Recordings written by the engine: read back as workloads, unknown where no ramp was evaluated, safe when killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.recording import Recorder
from drex_runtime.traces import UNKNOWN, RecordedRequest, load_trace, to_workload
from tests.drex_runtime.engine.cases import model_with

PROMPTS = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]
PARAMS = SamplingParams(max_tokens=6, ignore_eos=True)


def recorded(path: Path, policy: str, ramps: int = 2, threshold: str = "0.1", *,
             shadow: bool = True) -> tuple[tuple[RecordedRequest, ...], LLM]:
    llm = LLM(model_with(ramps, threshold), policy=policy, max_num_seqs=3)
    with Recorder(path, llm.engine, model="random", shadow=shadow):
        llm.generate(PROMPTS, PARAMS)
    found = load_trace(path).recorded
    assert found is not None
    return found, llm


def test_a_run_that_consults_every_ramp_is_recorded_with_its_own_depths(tmp_path: Path) -> None:
    llm = LLM(model_with(2, "0.1"), policy="flush-now", max_num_seqs=3)
    with Recorder(tmp_path / "run.jsonl", llm.engine):
        outputs = llm.generate(PROMPTS, PARAMS)
    found = load_trace(tmp_path / "run.jsonl").recorded
    assert found is not None
    assert [request.depths for request in found] == [output.depths for output in outputs]
    assert {depth for request in found for depth in request.depths} >= {1, 2, 3}
    assert [request.prompt_tokens for request in found] == [len(prompt) for prompt in PROMPTS]
    threshold = 0.1
    for request in found:
        assert request.confidences is not None and request.confidences[0] is None
        for depth, values in zip(request.depths[1:], request.confidences[1:], strict=True):
            assert values is not None
            expected = next((r for r, value in enumerate(values, 1) if value is not None and value > threshold), 3)
            assert depth == expected
            assert all(value is None for value in values[depth:])  # nothing was computed behind an exit


def test_shadow_ramps_find_the_same_depths_whatever_the_policy_while_the_texts_stay_its_own(tmp_path: Path) -> None:
    # One token per request: later ones would depend on which token was emitted.
    params = SamplingParams(max_tokens=1, ignore_eos=True)
    depths = {}
    for policy in ("no-exit", "flush-now", "consensus"):
        llm = LLM(model_with(2, "0.1"), policy=policy, max_num_seqs=4)
        with Recorder(tmp_path / policy, llm.engine):
            llm.generate([[]] * 4, params)
        found = load_trace(tmp_path / policy).recorded
        assert found is not None
        depths[policy] = [request.depths for request in found]
    assert depths["no-exit"] == depths["flush-now"] == depths["consensus"]
    plain = LLM(model_with(2, "0.1"), policy="no-exit", max_num_seqs=3).generate(PROMPTS, PARAMS)
    shadowed = LLM(model_with(2, "0.1"), policy="no-exit", max_num_seqs=3)
    with Recorder(tmp_path / "shadowed", shadowed.engine):
        assert [output.token_ids for output in shadowed.generate(PROMPTS, PARAMS)] == [
            output.token_ids for output in plain]


def test_without_shadow_ramps_a_passed_ramp_leaves_the_depth_unknown_never_full(tmp_path: Path) -> None:
    found, _ = recorded(tmp_path / "run.jsonl", "no-exit", shadow=False)
    assert all(request.depths == (3, *[UNKNOWN] * 5) for request in found)
    with pytest.raises(InputError, match="20 unknown"):
        to_workload(load_trace(tmp_path / "run.jsonl"))


def test_an_involuntary_exit_says_nothing_about_the_ramps_behind_it(tmp_path: Path) -> None:
    found, llm = recorded(tmp_path / "run.jsonl", "greedy")
    assert llm.engine.statistics.involuntary_exits > 0
    assert any(UNKNOWN in request.depths for request in found)


def test_a_killed_writer_loses_the_line_it_was_writing_and_the_trace_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    found, _ = recorded(path, "flush-now")
    path.write_bytes(path.read_bytes()[:-20])
    trace = load_trace(path)
    assert trace.recorded is not None and len(trace.recorded) == len(found) - 1
    assert "line 5 was cut off and left out" in trace.provenance and "3 of 4 rows" in trace.provenance
    path.write_bytes(path.read_bytes() + b"\n")  # broken in the middle is another matter
    with pytest.raises(InputError, match="line 5"):
        load_trace(path)


def test_lines_are_on_disk_before_the_run_is_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    llm = LLM(model_with(1), max_num_seqs=1)
    with Recorder(path, llm.engine) as recorder:
        for prompt in PROMPTS:
            llm.engine.submit(llm.engine.intake.live(prompt, PARAMS, arrival=0))
        while recorder.written < 2:
            llm.engine.step()
        assert len(load_trace(path)) == 2


def test_an_aborted_request_is_recorded_as_far_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    llm = LLM(model_with(1), max_num_seqs=2)
    with Recorder(path, llm.engine):
        kept, dropped = (llm.engine.submit(llm.engine.intake.live(prompt, PARAMS, arrival=0)) for prompt in PROMPTS[:2])
        while dropped.emitted < 3:
            llm.engine.step()
        llm.engine.abort(dropped)
        llm.engine.run()
    assert kept.finished == "length"
    assert sorted(load_trace(path).output_tokens.tolist()) == [3, 6]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("mine")
    with pytest.raises(InputError, match="does not exist yet"):
        Recorder(path, LLM(model_with(1)).engine)
    assert path.read_text() == "mine"


def test_a_full_disk_ends_the_recording_not_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    llm = LLM(model_with(1), max_num_seqs=2)
    recorder = Recorder(tmp_path / "run.jsonl", llm.engine)
    recorder._stream.close()
    recorder._stream = open("/dev/full", "w")  # noqa: SIM115 - the recorder closes it
    outputs = llm.generate(PROMPTS, PARAMS)
    assert len(outputs) == 4 and recorder.failed and recorder.written == 0
    assert capsys.readouterr().err.count("stopped") == 1
    recorder.close()
