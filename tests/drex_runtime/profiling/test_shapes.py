"""`drex profile` of a shape: random weights cost what trained ones cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.records import load_profile
from tests.drex_runtime.bench.test_bench import run_drex


def test_a_shape_is_profiled_without_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "shape.json"
    shape = "layers=3,hidden=16,heads=2,vocab=64,ramps=1+2"
    assert run_drex("profile", "--random-model", shape, "--max-batch-rows", "2", "--rounds", "1", "--seconds", "1",
                    "--out", str(out)) == 0
    profile = load_profile(out)
    assert profile.num_segments == 3
    assert shape in profile.meta.model


def test_a_folder_and_a_shape_are_too_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_drex("profile", str(tmp_path), "--random-model", "layers=2", "--out", str(tmp_path / "p.json")) == 2
    assert "drex profile: --random-model = layers=2" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.json"))
