"""KV fills at equal pool bytes: sharing keeps more requests in flight, and nothing else differs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from drex_runtime.bench.cases import Traffic, cases_of
from drex_runtime.bench.drive import Contestant, Entry
from drex_runtime.bench.fills import compare_fills, parse_fills
from drex_runtime.bench.metrics import Slo
from drex_runtime.bench.pool_size import pool_size
from drex_runtime.bench.quality import measure_quality
from drex_runtime.bench.traffic import Arrivals
from drex_runtime.errors import DrexError, InputError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.policies import shipped_policy
from drex_runtime.records import ServerConfig
from tests.drex_runtime.bench.test_bench import run_drex
from tests.drex_runtime.engine.cases import model_with

FLUSH_NOW = Entry("flush-now", shipped_policy("flush-now"), {})


@pytest.mark.slow
def test_at_equal_bytes_sharing_keeps_more_requests_in_flight() -> None:
    model = model_with(1)
    traffic = Traffic((Fraction(0), Fraction(4, 5)), Fraction(0), 24, 0, 60, Arrivals(), 0)
    pool = pool_size("25%", model, 16, 64, block_tokens=8)  # that of tests/drex_runtime/engine/test_fills.py
    found = compare_fills(FLUSH_NOW, model, ServerConfig(16, 16), cases_of(traffic, 2, "ns"), ("share", "propagate"),
                          pool, slo=Slo(), rounds=1, seed=0)
    assert pool.sequences == 4 and found.against == "propagate"
    none_shared, none_propagated, shared, propagated = found.rows
    assert [(row.timed.case, row.fill) for row in found.rows] == [
        ("0", "share"), ("0", "propagate"), ("0.8", "share"), ("0.8", "propagate")]
    assert none_shared.occupancy == none_propagated.occupancy  # nobody exits: the fills are one
    assert shared.occupancy.mean_in_flight > 1.25 * propagated.occupancy.mean_in_flight
    assert shared.occupancy.most_in_flight >= propagated.occupancy.most_in_flight
    # Two of the four layers lie behind the ramp: a token owns 2 cells if it exits, else 4.
    assert propagated.occupancy.cells_per_token == pytest.approx(4, abs=0.1)
    assert shared.occupancy.cells_per_token == pytest.approx(2 + 0.2 * 2, abs=0.15)
    assert shared.occupancy.bytes_saved > 10 * propagated.occupancy.bytes_saved
    assert {run.metrics.tokens for row in found.rows for run in row.timed.rounds} == {24 * 60}
    assert propagated.preemptions > 0 and propagated.timed.ratios == (1.0,)


def test_both_pools_have_the_bytes_that_are_printed() -> None:
    model, config = model_with(1), ServerConfig(8, 8)
    pool = pool_size("50%", model, 8, 40)
    for fill in ("share", "propagate"):
        held = Contestant(FLUSH_NOW, model, config, max_model_len=40, kv=pool.config(fill)).engine.runner.memory.pool
        assert held.num_blocks * held.block_cells * held.bytes_per_cell == pool.bytes
    assert pool_size(f"{pool.bytes + 1}", model, 8, 40) == pool
    assert pool_size("1K", model_with(1), 64, 1, block_tokens=1).bytes <= 1024


@pytest.mark.parametrize("text", ["", "lots", "-1", "0", "0%", "101%", "x%", "1", "1T", "900G", "1.5K"])
def test_a_bad_pool_size_is_refused(text: str) -> None:
    with pytest.raises(DrexError, match="--kv-bytes"):
        pool_size(text, model_with(1), 8, 40)


@pytest.mark.parametrize("text", ["", "share", "share,share", "share,discard"])
def test_bad_fills_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="fill"):
        parse_fills(text)


def test_rows_that_stay_and_drift_are_counted() -> None:
    entries = [Entry("consensus", shipped_policy("consensus"), {})]
    prompts = [[1, 2], [3], [4, 5, 6], [7]]
    model, config = model_with(1, "0.05"), ServerConfig(4, 4)
    commit, = measure_quality(entries, model, config, prompts, 12)
    deep, = measure_quality(entries, model, config, prompts, 12, kv=KVConfig(64, sequences=4, fill="propagate"),
                            stay="deep")
    assert commit.drifted_tokens == 0 < deep.drifted_tokens <= deep.involuntary_stays


def test_the_command_prints_the_second_table_and_its_modes(tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    assert run_drex("bench", "--random-model", "layers=2,hidden=64,vocab=256,ramps=1", "--policies", "flush-now",
                    "--exit-rates", "1", "--num-prompts", "6", "--input-len", "3", "--output-len", "64", "--rounds",
                    "1", "--max-num-seqs", "4", "--kv-fills", "share,propagate", "--kv-bytes", "50%", "--kv-fill",
                    "propagate", "--stay", "deep", "--save-result", str(path)) == 0
    out, data = capsys.readouterr().out, json.loads(path.read_text())
    assert "KV fills at equal pool bytes" in out and "ratio to propagate" in out
    assert "KV fill propagate, stay deep" in out
    assert (data["about"]["kv_fill"], data["about"]["stay"]) == ("propagate", "deep")
    fills = data["kv_fills"]
    assert [row["fill"] for row in fills["rows"]] == ["share", "propagate"] and fills["pool_sequences"] == 2
    assert fills["pool_bytes"] == fills["pool_sequences"] * 6 * fills["block_cells"] * 2 * 64 * 4  # 6 superblocks each
    share, propagate = (row["occupancy"] for row in fills["rows"])
    assert share["mean_in_flight"] > propagate["mean_in_flight"] and share["cells_per_token"] < 1.5
    assert {"median", "low", "high", "level"} <= set(fills["rows"][0]["ratio"])


@pytest.mark.parametrize(("options", "said"), [
    (("--kv-fills", "share"), "--kv-fills"), (("--kv-fills", "share,propagate", "--kv-bytes", "3"), "--kv-bytes"),
    (("--kv-fills", "share,propagate", "--policies", "no-exit"), "--policies"),
    (("--kv-bytes", "8M"), "--kv-fills too"), (("--kv-block-tokens", "8"), "--kv-fills too"),
    (("--kv-fill", "discard"), "fill"),
    (("--stay", "never"), "stay")])
def test_a_bad_option_is_one_line(options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_drex("bench", *options) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
