"""`drex bench`: metrics by hand, arrivals as stated, equal output for all policies, one file with everything."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from drex_runtime.bench.cases import Traffic, cases_of
from drex_runtime.bench.compare import compare
from drex_runtime.bench.drive import Contestant, Entry
from drex_runtime.bench.metrics import Slo, measure_run, parse_slo
from drex_runtime.bench.model import bench_model
from drex_runtime.bench.quality import measure_quality
from drex_runtime.bench.traffic import Arrivals, synthetic
from drex_runtime.errors import DrexError, InputError, RecordError
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.policies import shipped_policy
from drex_runtime.records import Request, ServerConfig
from drex_runtime.traces import RecordedRequest, write_recording
from tests.drex_runtime.engine.cases import model_with

TRAFFIC = Traffic((Fraction(0), Fraction(1, 2)), Fraction(0), 6, 3, 4, Arrivals(), 1)


def entry(name: str) -> Entry:
    return Entry(name, shipped_policy(name), {})


def finished(arrival: int, times: list[int]) -> Sequence:
    sequence = Sequence(0, Request(0, arrival, 0, (1,) * len(times)), SamplingParams(), (), finished="length")
    sequence.times = times
    return sequence


def test_metrics_are_those_of_their_formulas() -> None:
    ms = 10**6
    runs = [finished(0, [10 * ms, 20 * ms, 40 * ms]), finished(100 * ms, [150 * ms])]
    found = measure_run(runs, Slo(ttft=20, tpot=16), 1.0)
    assert found.seconds == pytest.approx(0.15) and found.tokens == 4
    assert (found.ttft.mean, found.e2e.mean) == (pytest.approx(30), pytest.approx(45))
    assert found.tpot.mean == pytest.approx(15) and found.itl.mean == pytest.approx(15)
    assert found.attainment == 0.5 and found.goodput == pytest.approx(1 / 0.15)  # the second is late
    dropped = replace_finished(finished(0, [5 * ms]))
    found = measure_run([*runs, dropped], Slo(), 1.0)
    assert (found.dropped, found.completion_rate, found.attainment) == (1, pytest.approx(2 / 3), pytest.approx(2 / 3))


def replace_finished(sequence: Sequence) -> Sequence:
    sequence.finished = "abort"
    return sequence


def test_saturation_is_less_served_than_arrives_and_a_burst_has_no_rate() -> None:
    second = 10**9
    keeps_up = [finished(k * second, [k * second + 1000]) for k in range(20)]
    assert not measure_run(keeps_up, Slo(), 1.0).saturated
    late = [finished(k * second, [2 * k * second + 1000]) for k in range(20)]
    assert measure_run(late, Slo(), 1.0).saturated
    assert measure_run([finished(0, [1000]), finished(0, [2000])], Slo(), 1.0).offered is None


@pytest.mark.parametrize("text", ["ttft", "ttft:", "ttft:-1", "ttft:nan", "speed:3", "e2e:inf"])
def test_a_bad_target_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--goodput"):
        parse_slo([text])


def test_targets_come_in_one_text_or_several() -> None:
    assert parse_slo(["ttft:200 tpot:50", "e2e:5000"]) == Slo(200, 50, 5000)


def test_arrivals_have_the_stated_rate_and_burstiness() -> None:
    for burstiness in (0.25, 1.0, 4.0):
        gaps = np.diff(Arrivals(50.0, burstiness).draw(20_000, 3, "us"))
        assert gaps.mean() == pytest.approx(20_000, rel=0.03)
        assert gaps.std() / gaps.mean() == pytest.approx(burstiness**-0.5, rel=0.05)
    assert Arrivals().draw(3, 0, "ns") == [0, 0, 0]
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(RecordError, match="request_rate"):
            Arrivals(bad)


def test_scripted_depths_have_the_stated_exit_rate() -> None:
    for ramps in (1, 2):
        work = synthetic(ramps + 1, Fraction(3, 10), count=200, prompt_tokens=2, output_tokens=21, seed=1, tick="ns")
        depths = np.array([item.depths for item in work.requests])
        assert (depths[:, 0] == ramps + 1).all()
        assert (depths[:, 1:] <= ramps).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("most", [None, 2])
def test_every_policy_makes_the_same_output_and_leaks_nothing(most: int | None) -> None:
    model, config = model_with(1), ServerConfig(4, 4)
    contestants = [Contestant(entry(name), model, config) for name in ("no-exit", "flush-now", "drex")]
    rows = compare(contestants, cases_of(TRAFFIC, 2, "ns"), Slo(), rounds=2, seed=0, max_concurrency=most)
    assert [(row.case, row.policy) for row in rows] == [(case, name) for case in ("0", "0.5")
                                                        for name in ("no-exit", "flush-now", "drex")]
    for row in rows:
        assert all(run.metrics.tokens == 24 and run.counts["tokens"] == 24 for run in row.rounds)
        assert row.count("involuntary_exits") == 0
    assert all(row.ratios == (1.0, 1.0) for row in rows if row.policy == "no-exit")
    assert rows[4].count("early_tokens") > 0
    for contestant in contestants:
        contestant.engine.check()
        assert contestant.engine.runner.memory.pool.blocks_in_use == 0


def test_arrivals_of_a_dataset_are_kept_and_a_stated_rate_replaces_them(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, 2, [RecordedRequest(n, 1000 * n, 3, (2, 1, 2)) for n in range(8)])
    case, = cases_of(TRAFFIC, 2, "ns", path)
    assert case.label == "as recorded" and case.exit_rate == 0.5
    assert [item.arrival for item in case.workload.requests] == [10**6 * n for n in range(6)]
    case, = cases_of(replace(TRAFFIC, arrivals=Arrivals(10.0)), 2, "ns", path)
    assert case.workload.requests[-1].arrival > 10**8
    with pytest.raises(InputError, match="num_segments"):
        cases_of(TRAFFIC, 3, "ns", path)


def test_agreement_is_that_with_full_depth_and_forced_exits_are_counted() -> None:
    entries = [entry(name) for name in ("no-exit", "flush-now", "greedy")]
    found = measure_quality(entries, model_with(1, "0.1"), ServerConfig(3, 3), [[1, 2], [3], [4, 5, 6]], 6)
    assert [item.policy for item in found] == ["no-exit", "flush-now", "greedy"]
    full, voluntary, forced = found
    assert (full.agreement, full.exit_rate, full.p95_confidence) == (1.0, 0.0, None)
    assert voluntary.p95_confidence is not None and voluntary.p95_confidence > 0.1
    assert voluntary.involuntary_exits == 0 < forced.involuntary_exits
    assert forced.p95_confidence is not None and forced.p95_confidence < 0.1


@pytest.mark.parametrize("shape", ["layers", "layers=x", "depth=3", "layers=0", "layers=2,ramps=2"])
def test_a_bad_shape_is_refused(shape: str) -> None:
    with pytest.raises(DrexError):
        bench_model(None, shape)


def run_drex(*arguments: str) -> int:
    from drex_runtime.cli import main

    with patch.object(sys, "argv", ["drex", *arguments]), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_writes_json_and_picture_with_a_reference_row(tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    result, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    assert run_drex("bench", "--random-model", "layers=2,hidden=64,vocab=256,ramps=1", "--policies", "flush-now",
                    "--exit-rates", "0,1", "--num-prompts", "4", "--input-len", "3", "--output-len", "4", "--rounds",
                    "2", "--max-num-seqs", "2", "--reference", "transformers", "--reference-batches", "2",
                    "--goodput", "ttft:1e6", "--save-result", str(result), "--plot", str(picture)) == 0
    out = capsys.readouterr().out
    assert "ratio to no-exit" in out and "outside the model" in out and "quality is not measured" in out
    data = json.loads(result.read_text())
    assert data["schema"] == "drex-bench/1" and len(data["rows"]) == 4
    assert [row["batch"] for row in data["reference"]] == [2]
    assert all(len(row["rounds"]) == 2 and row["rounds"][0]["tokens"] == 16 for row in data["rows"])
    assert "level 50.0%: the widest that 2 rounds give; 95% needs 6 or more" in out and data["kv_fills"] is None
    assert "WARNING: the shortest runs last" in out and "--num-prompts" in out
    assert picture.read_text().startswith("<svg") and "no-exit" in picture.read_text()


def test_a_kv_fill_stands_beside_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "bench.json"
    assert run_drex("bench", "--random-model", "layers=2,hidden=64,vocab=256,ramps=1", "--policies", "flush-now",
                    "--exit-rates", "1", "--num-prompts", "4", "--input-len", "3", "--output-len", "9", "--rounds", "1",
                    "--max-num-seqs", "2", "--kv-fill", "recompute", "--kv-max-debt", "3",
                    "--save-result", str(result)) == 0
    out = capsys.readouterr().out
    assert "KV fill recompute" in out and "recompute " in out.split("share of a run's time by part")[1]
    data = json.loads(result.read_text())
    counts = {row["policy"]: row["rounds"][0]["counts"] for row in data["rows"]}
    assert data["about"]["kv_fill"] == "recompute" and not counts["no-exit"]["tokens_owed"]
    assert counts["flush-now"]["tokens_recomputed"] == 3 * counts["flush-now"]["debt_bound_hits"] > 0


@pytest.mark.parametrize(("options", "said"), [
    (("--policies", "nosuch"), "nosuch"), (("--plot", "x.pdf"), ".svg or .png"), (("--reference", "vllm"), "vllm"),
    (("--exit-rates", "1.5"), "exit_rates"), (("--request-rate", "0"), "request_rate"),
    (("--policies", "drex,drex"), "different names"), (("--reference-batches", "0"), "--reference-batches"),
    (("--dataset", "missing.csv"), "missing.csv"), (("--random-model", "layers=2", "."), "either"),
    (("--kv-fill", "forget"), '"recompute"'), (("--kv-max-debt", "3"), "max_debt"),
])
def test_a_bad_option_is_one_line(options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_drex("bench", *options) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
