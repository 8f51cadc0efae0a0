"""Ramps with parts of their own, from each format's files, do in the engine what a naive decoder says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.runner import seed_token
from drex_runtime.model import CONFIDENCE_KINDS, EarlyExitLlama, confidence, load_model, read_config
from drex_runtime.model.errors import ModelError
from drex_runtime.model.loading import save_model
from drex_runtime.model.sequence import KV_FILLS, ExitRule, forward_sequence
from drex_runtime.model.stepwise import DenseDecoder
from drex_runtime.policies import Policy, shipped_policy
from drex_runtime.policies.expressions import parse_condition
from tests.drex_runtime.model.configs import SMALL, small_model
from tests.drex_runtime.model.folders import ATTENTION, MLP, VOCABULARY, D, Weights
from tests.drex_runtime.model.naive import NaiveDecoder
from tests.scale import scaled

PARAMS = SamplingParams(max_tokens=scaled(8, 16, "tokens per prompt of the ramp tests"), ignore_eos=True)
PROMPTS = [[], [7, 3, 11, 60, 2], [40, 41, 42, 43, 44, 45], [9, 9]]
TokensAndDepths = tuple[tuple[int, ...], tuple[int, ...]]


def naive(model: EarlyExitLlama, prompt: list[int], thresholds: tuple[float, ...], fill: str = "share",
          depths_given: tuple[int, ...] | None = None) -> TokensAndDepths:
    """One request, spelled out; `depths_given` replaces the thresholds."""
    decoder, config = NaiveDecoder(model, fill), model.config
    ids = list(prompt) or [seed_token(config)]
    tokens: list[int] = []
    depths: list[int] = []

    def exits(position: int, ramp: int, logits: torch.Tensor) -> bool:
        if position < len(prompt):
            return False
        if depths_given is not None:
            return depths_given[len(tokens)] == ramp
        return float(confidence(logits[None], config.confidence)[0]) > thresholds[ramp - 1] < 1

    while len(tokens) < PARAMS.max_tokens:
        depth, logits, _ = decoder.feed(ids.pop(0) if ids else tokens[-1], exits)
        if not ids:
            tokens.append(int(logits.argmax()))
            depths.append(depth)
    return tuple(tokens), tuple(depths)


def run(model: EarlyExitLlama, policy: str | Policy, **options: Any) -> list[TokensAndDepths]:
    """The engine's tokens and depths for PROMPTS; nothing is leaked."""
    llm = LLM(model, policy=policy, **{"max_num_seqs": 3, "prefill_tokens": 4, **options})
    outputs = llm.generate(PROMPTS, PARAMS)
    llm.engine.check()
    return [(output.token_ids, output.depths) for output in outputs]


def check_engine(model: EarlyExitLlama) -> None:
    """Tokens and depths equal the naive decoder's, alone and in company; all depths occur."""
    thresholds = tuple(float(t) for t in model.config.thresholds)
    expected = [naive(model, prompt, thresholds) for prompt in PROMPTS]
    assert {depth for _, depths in expected for depth in depths} == set(range(1, model.config.num_segments + 1))
    for policy in ("drex", "flush-now", "consensus"):
        assert run(model, policy) == expected, policy
    assert run(model, "flush-now", max_num_seqs=1, prefill_tokens=None) == expected
    check_references(model, thresholds)


def at_depths(script: torch.Tensor) -> ExitRule:
    """Leave where `script[B, T]` says."""
    return lambda ramp, logits: script == ramp


def check_references(model: EarlyExitLlama, thresholds: tuple[float, ...]) -> None:
    """The package's own references (training, calibration) compute the same model, under every fill."""
    prompt = PROMPTS[1]
    for fill in KV_FILLS:
        tokens, depths = naive(model, prompt, thresholds, fill)
        decoder = DenseDecoder(model, 1, 20, fill)
        decoder.prefill(torch.tensor([prompt[:-1]]))
        text, found = [prompt[-1]], []
        # The last prompt token is a decode step here, at full depth as prompts are.
        for at in range(PARAMS.max_tokens):
            step = decoder.step(torch.tensor(text[-1:]), thresholds if at else [1.0] * len(thresholds))
            text.append(int(step.logits.argmax()))
            found.append(int(step.depths))
        assert (tuple(text[1:]), tuple(found)) == (tokens, depths), fill
        given = torch.tensor([[*prompt, *tokens[:-1]]])
        script = torch.tensor([[0] * (len(prompt) - 1) + list(depths)])
        output = forward_sequence(model, given, at_depths(script), fill)
        rows = torch.stack([*output.ramp_logits, output.deep_logits])[:, 0, len(prompt) - 1:]
        emitted = rows[torch.tensor(depths) - 1, torch.arange(len(depths))].argmax(dim=-1)
        assert tuple(emitted.tolist()) == tokens, fill


BLOCKS: dict[str, dict[str, Any]] = {
    "own heads and norms, 3 ramps": {"ramps": [1, 3, 5], "head": "own"},
    "own heads, shared norm": {"ramps": [2, 4], "head": "own", "norm": "shared"},
    "own norms, shared head": {"ramps": [2, 4], "norm": "own"},
    "no norm": {"ramps": [2, 4], "head": "own", "norm": "none"},
    "own layers, 3 ramps": {"ramps": [1, 3, 5], "layer": "full", "norm": "own"},
    "attention only": {"ramps": [2, 4], "layer": "attention"},
    "MLP only": {"ramps": [2, 4], "layer": "mlp"},
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_own_parts_in_the_engine_and_on_disk(tmp_path: Path, block: dict[str, Any]) -> None:
    block = {**block, "thresholds": ["0.2"] * len(block["ramps"])}
    model = small_model(early_exit=block)
    check_engine(model)
    save_model(model, tmp_path, {**SMALL, "early_exit": block}, torch.float32)
    loaded = dict(load_model(tmp_path).named_parameters())
    assert all(torch.equal(loaded[name], parameter) for name, parameter in model.named_parameters())
    assert any(name.startswith("ramps.") for name in loaded)


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("ramps", [[2, 4], [1, 2, 5]])
def test_thresholds_per_ramp_under_every_confidence(ramps: list[int], kind: str) -> None:
    limits = {"top2": ["0.3", "0.15", "0.2"], "max": ["0.4", "0.3", "0.35"], "entropy": ["0.35", "0.3", "0.3"]}[kind]
    block = {"ramps": ramps, "thresholds": limits[:len(ramps)], "confidence": kind}
    check_engine(small_model(seed=1, early_exit=block))


def test_a_threshold_of_one_closes_one_ramp_only() -> None:
    model = small_model(early_exit={"ramps": [2, 4], "thresholds": ["1", "0.1"]})
    expected = [naive(model, prompt, (1.0, 0.1)) for prompt in PROMPTS]
    assert {depth for _, depths in expected for depth in depths} == {2, 3}
    assert run(model, "flush-now") == run(model, "drex") == expected


BALCONY: dict[str, dict[str, Any]] = {
    "decoder layers, tied heads": {"exit_decoder_layer": True, "tie_exit_lm_head": True},
    "decoder layers, untied heads": {"exit_decoder_layer": True, "tie_exit_lm_head": False},
    "norm and untied head": {"exit_decoder_layer": False, "tie_exit_lm_head": False},
    "norm only": {"tie_exit_lm_head": True},
    "MLP": {"exit_mlp": True, "tie_exit_lm_head": True},
    "attention": {"exit_attention": True, "tie_exit_lm_head": False},
    "both halves": {"exit_mlp": True, "exit_attention": True, "tie_exit_lm_head": True},
}


def write_balcony(folder: Path, flags: Mapping[str, Any], **block: Any) -> Weights:
    """A Balcony checkpoint with exits after 2 and 4 layers, in the names of its public code."""
    weights = Weights()
    whole = flags.get("exit_decoder_layer", False)
    parts: tuple[str, ...] = ATTENTION if whole or flags.get("exit_attention") else ()
    parts += MLP if whole or flags.get("exit_mlp") else ()
    for module in (0, 1):
        prefix, at = f"model.exit_modules.{module}.", 0
        if parts:
            weights.add_layer(f"{prefix}0.", parts)
            at = 1
        weights.add(f"{prefix}{at}.weight", D)
        if not flags["tie_exit_lm_head"]:
            weights.add(f"{prefix}{at + 1}.weight", VOCABULARY, D)
    fields = {"model_type": "nested_llama", "exit_layer_indices": [2, 4], "output_exit_layers": [4], **flags}
    weights.write(folder, **fields, early_exit=block or None)
    return weights


@pytest.mark.parametrize("flags", BALCONY.values(), ids=BALCONY.keys())
def test_balcony_modules_run_with_kv_of_their_own(tmp_path: Path, flags: dict[str, Any]) -> None:
    weights = write_balcony(tmp_path, flags, ramps=[2, 4], thresholds=["0.2", "0.2"])
    model = load_model(tmp_path)
    if flags.get("exit_decoder_layer"):
        stored = weights.tensors["model.exit_modules.1.0.self_attn.o_proj.weight"]
        assert torch.equal(model.get_parameter("ramps.1.layer.o_proj.weight"), stored)
        assert torch.equal(model.get_parameter("ramps.1.norm.weight"), weights.tensors["model.exit_modules.1.1.weight"])
        assert [model.config.kv_layers(segment) for segment in (1, 2, 3)] == [3, 3, 2]
    check_engine(model)


def test_balcony_without_a_block_takes_its_own_exits_closed(tmp_path: Path) -> None:
    write_balcony(tmp_path, BALCONY["decoder layers, tied heads"])
    config = read_config(tmp_path)
    assert config.ramps == (2, 4) and config.thresholds == (Fraction(1), Fraction(1))
    assert config.early_exit.layer == "full" and config.early_exit.norm == "own"


def test_some_of_balconys_exits_can_be_chosen(tmp_path: Path) -> None:
    weights = write_balcony(tmp_path, BALCONY["norm and untied head"], ramps=[4])
    model = load_model(tmp_path)
    assert torch.equal(model.get_parameter("ramps.0.head.weight"), weights.tensors["model.exit_modules.1.1.weight"])
    round_trip = load_model(tmp_path, early_exit={**model.config.early_exit.as_json(), "thresholds": ["0.5"]})
    assert round_trip.config.early_exit.modules == (1,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exit_layer_indices": None}, "exit_layer_indices is missing"),
        ({"exit_layer_indices": [2, 6]}, r"early_exit\.ramps = \[2, 6\]: must be ascending layer counts"),
        ({"output_exit_layers": [3]}, r"output_exit_layers = \[3\]: must be among exit_layer_indices = \[2, 4\]"),
        ({"early_exit": {"ramps": [3]}}, r"early_exit\.ramps = \[3\]: must be among exit_layer_indices"),
        ({"early_exit": {"ramps": [2], "head": "own"}}, r"early_exit\.head = own: must be 'shared'"),
        ({"exit_mlp": "yes"}, "exit_mlp = yes: must be true or false"),
        ({"exit_decoder_layer": False}, r"tensor model\.exit_modules\.0\.0\.weight is missing"),
    ],
)
def test_balcony_fields_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    weights = write_balcony(tmp_path, BALCONY["decoder layers, tied heads"])
    fields = {"model_type": "nested_llama", "exit_layer_indices": [2, 4], **BALCONY["decoder layers, tied heads"]}
    weights.write(tmp_path, **{"early_exit": None, **fields, **change})
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_tokens_whose_ramp_is_not_asked_still_write_its_entries() -> None:
    """Under a policy that asks ramps of two rows or more only, the tokens are those that its own depths imply."""
    model = small_model(early_exit={"ramps": [2, 4], "layer": "full", "norm": "own", "thresholds": ["0.1", "0.1"]})
    thresholds = (0.1, 0.1)
    sometimes = replace(shipped_policy("flush-now"), name="sometimes", consult=parse_condition("batch >= 2", "consult"))
    found = run(model, sometimes)
    asked = [naive(model, prompt, thresholds) for prompt in PROMPTS]
    assert found != asked and 1 in {depth for _, depths in found for depth in depths}
    assert found == [naive(model, prompt, thresholds, depths_given=depths)
                     for prompt, (_, depths) in zip(PROMPTS, found, strict=True)]


def test_a_scarce_pool_changes_no_token_of_ramps_with_layers() -> None:
    """Whether requests wait for memory or lose it and are replayed: their ramps' entries come back too."""
    block = {"ramps": [2, 4], "layer": "full", "norm": "own", "thresholds": ["0.2", "0.2"]}
    model = small_model(early_exit=block)
    expected = [naive(model, prompt, (0.2, 0.2)) for prompt in PROMPTS]
    assert {depth for _, depths in expected for depth in depths} == {1, 2, 3}
    for policy in ("drex", "flush-now"):
        assert run(model, policy, kv=KVConfig(24, block_cells=6, sequences=1)) == expected, policy


def write_drex_head(path: Path, content: object = None) -> torch.Tensor:
    """A head file as the public DREX code saves it."""
    head = torch.nn.Linear(D, VOCABULARY, bias=False)
    torch.save({"early_exit_head_state_dict": head.state_dict()} if content is None else content, path)
    return head.weight.detach()


def test_a_drex_head_stands_behind_the_models_norm(tmp_path: Path) -> None:
    Weights().write(tmp_path, early_exit={"ramps": [2, 4], "head_file": "early_exit_head.pt"})
    weight = write_drex_head(tmp_path / "early_exit_head.pt")
    model = load_model(tmp_path)
    hidden = torch.randn(5, D)
    for ramp in (1, 2):
        torch.testing.assert_close(model.head_logits(hidden, ramp), model.norm(hidden) @ weight.T)
    again = load_model(tmp_path, early_exit={**model.config.early_exit.as_json(), "thresholds": ["0.5", "0.5"]})
    assert torch.equal(again.head_logits(hidden, 1), model.head_logits(hidden, 1))


class Trap:
    """Runs code when it is unpickled by anything that runs code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("trapped",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, "early_exit_head_state_dict is missing"),
        ({"early_exit_head_state_dict": {}}, r"early_exit_head_state_dict\.weight is missing"),
        ({"early_exit_head_state_dict": {"weight": torch.ones(2, 3)}}, r"has shape \[2, 3\]: config.json asks for"),
        ({"early_exit_head_state_dict": {"weight": torch.ones(61, 32), "bias": torch.ones(61)}}, "bias is not part of"),
        ({"early_exit_head_state_dict": {"weight": torch.ones(61, 32, dtype=torch.int8)}}, "no floating-point tensor"),
        ([1], "early_exit_head_state_dict is missing"),
        ({"early_exit_head_state_dict": Trap()}, "cannot be read as tensors"),
    ],
)
def test_other_head_files_are_refused_and_nothing_in_them_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Weights().write(tmp_path, early_exit={"ramps": [2], "head_file": "head.pt"})
    write_drex_head(tmp_path / "head.pt", content)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)
    assert not (tmp_path / "trapped").exists()


def test_head_files_that_are_none_are_refused(tmp_path: Path) -> None:
    Weights().write(tmp_path, early_exit={"ramps": [2], "head_file": "head.pt"})
    with pytest.raises(ModelError, match=r"head\.pt: is not a file"):
        load_model(tmp_path)
    (tmp_path / "head.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ModelError, match=r"must be a zip file as torch\.save writes"):
        load_model(tmp_path)
