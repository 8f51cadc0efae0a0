"""config.json becomes one frozen record; what cannot be computed as written is refused by name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.errors import DrexError
from drex_runtime.model import parse_config, read_config
from drex_runtime.records.numbers import number_text
from tests.drex_runtime.model.configs import SMALL, small_config


def test_ramps_cut_the_layers_into_segments() -> None:
    config = small_config()
    assert config.num_segments == 3
    assert [list(config.segment_layers(s)) for s in (1, 2, 3)] == [[0, 1], [2, 3], [4, 5]]
    for outside in (0, 4):
        with pytest.raises(IndexError, match=r"1\.\.3"):
            config.segment_layers(outside)


def test_thresholds_are_exact() -> None:
    config = small_config(early_exit={"ramps": [3], "thresholds": ["0.55"]})
    assert config.thresholds == (Fraction(11, 20),)
    assert config.confidence == "top2"


def test_thresholds_default_to_never() -> None:
    assert small_config(early_exit={"ramps": [2, 4]}).thresholds == (Fraction(1), Fraction(1))


def test_a_plain_checkpoint_has_no_ramps_until_it_is_given_some(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "llama", "vocab_size": 8, "hidden_size": 8,'
        '"intermediate_size": 8, "num_hidden_layers": 4, "num_attention_heads": 2, "eos_token_id": [1, 2]}'
    )
    plain = read_config(tmp_path)
    assert (plain.ramps, plain.num_segments, plain.eos_ids) == ((), 1, (1, 2))
    assert read_config(tmp_path, {"ramps": [2]}).ramps == (2,)


@pytest.mark.parametrize(
    ("text", "value"), [("0.55", Fraction(11, 20)), ("1", Fraction(1)), ("0", Fraction(0)), ("1/3", Fraction(1, 3))]
)
def test_rationals_are_written_as_they_are_read(text: str, value: Fraction) -> None:
    assert number_text(value) == text
    assert Fraction(number_text(value)) == value


def test_the_block_survives_a_round_trip() -> None:
    block = {"ramps": [2, 4], "thresholds": ["0.125", "0.9"], "confidence": "entropy", "calibration": {"by": "x"}}
    config = small_config(early_exit=block)
    assert small_config(early_exit=config.early_exit.as_json()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model_type = mamba: must be 'llama'"),
        ({"model_type": ["llama"]}, "model_type = "),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "32"}, "hidden_size = 32: must be an integer >= 1"),
        ({"num_hidden_layers": 0}, "num_hidden_layers = 0: must be an integer >= 1"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True"),
        ({"num_key_value_heads": 3}, "num_key_value_heads = 3: must be a divisor of num_attention_heads = 4"),
        ({"hidden_size": 30}, "hidden_size = 30: must be a multiple of num_attention_heads = 4"),
        ({"head_dim": 7}, "head_dim = 7: must be an even number"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps = nan: must be a finite number > 0"),
        ({"eos_token_id": 61}, "eos_token_id = 61: must be ids between 0 and vocab_size - 1 = 60"),
        ({"hidden_act": "gelu"}, "hidden_act = gelu: must be 'silu'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config = .*bits"),
        ({"sliding_window": 4096}, "sliding_window = 4096: must be None"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_scaling.rope_type = yarn: must be"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.type = linear: must be"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling.low_freq_factor is missing"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "rope_parameters.partial_rotary_factor = 0.5"),
        ({"early_exit": []}, r"early_exit = \[\]: must be an object"),
        ({"early_exit": {}}, "early_exit.ramps is missing"),
        ({"early_exit": {"ramps": []}}, "early_exit.ramps = .*at least one"),
        ({"early_exit": {"ramps": [6]}}, "early_exit.ramps = .*between 1 and 5"),
        ({"early_exit": {"ramps": [0]}}, "early_exit.ramps = .*between 1 and 5"),
        ({"early_exit": {"ramps": [4, 2]}}, "early_exit.ramps = .*ascending"),
        ({"early_exit": {"ramps": [2, 2]}}, "early_exit.ramps = .*ascending"),
        ({"early_exit": {"ramps": ["2"]}}, "early_exit.ramps = .*a list of integers"),
        ({"early_exit": {"ramps": [2], "head": "mine"}}, "early_exit.head = mine: must be 'shared' or 'own'"),
        ({"early_exit": {"ramps": [2], "norm": "two"}}, "early_exit.norm = two: must be 'shared' or 'own' or 'none'"),
        ({"early_exit": {"ramps": [2], "layer": "half"}}, "early_exit.layer = half: must be 'none' or 'full'"),
        ({"early_exit": {"ramps": [2], "head_file": "../x.pt"}}, "early_exit.head_file = ../x.pt: must be the name"),
        ({"early_exit": {"ramps": [2], "head_file": "x.pt", "head": "shared"}}, "early_exit.head_file = x.pt: must be"),
        ({"early_exit": {"ramps": [2], "confidence": "vibes"}}, "early_exit.confidence = vibes: must be 'top2'"),
        ({"early_exit": {"ramps": [2], "thresholds": [0.5]}}, "early_exit.thresholds = .*a list of strings"),
        ({"early_exit": {"ramps": [2], "thresholds": ["0.5", "0.6"]}}, "thresholds = .*1 decimals, one per ramp"),
        ({"early_exit": {"ramps": [2], "thresholds": ["1.5"]}}, "early_exit.thresholds = 1.5: must be a decimal"),
        ({"early_exit": {"ramps": [2], "thresholds": ["nan"]}}, "early_exit.thresholds = nan: must be a decimal"),
        ({"early_exit": {"ramps": [2], "treshold": ["1"]}}, "early_exit.treshold is not known"),
    ],
)
def test_errors_name_file_field_and_value(change: dict[str, Any], message: str) -> None:
    raw = {name: value for name, value in {**SMALL, **change}.items() if value is not None}
    with pytest.raises(DrexError, match=message) as caught:
        parse_config(raw, "folder/config.json")
    assert str(caught.value).startswith("folder/config.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\xff", "[" * 100_000])
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(DrexError, match=r"config\.json"):
        read_config(tmp_path)
