"""A folder is loaded whole or refused, with the file and the tensor named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from drex_runtime.model import load_model, random_model, save_model
from drex_runtime.model.errors import ModelError
from drex_runtime.model.sequence import forward_sequence
from tests.drex_runtime.model.configs import SMALL, small_config, small_model

Tensors = dict[str, Tensor]
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(small_model(), tmp_path, SMALL, torch.float32)
    return tmp_path


def rewrite(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_what_is_saved_is_loaded(folder: Path) -> None:
    saved, loaded = small_model(), load_model(folder)
    assert loaded.config == saved.config
    for name, parameter in saved.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name)), name
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_random_models_repeat() -> None:
    config = small_config(tie_word_embeddings=True)
    first, second, other = (dict(random_model(config, seed).named_parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["embed_tokens.weight"], other["embed_tokens.weight"])
    assert "lm_head.weight" not in first


def test_random_models_come_in_any_dtype() -> None:
    model = random_model(small_config(), 0, torch.bfloat16)
    assert forward_sequence(model, torch.arange(8).view(1, 8)).deep_logits.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("model.layers.3.self_attn.k_proj.weight"), r"layers\.3\.self_attn\.k_proj\.weight is missing"),
        (lambda t: t.pop("lm_head.weight"), r"lm_head\.weight is missing"),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(31)}),
            r"model\.norm\.weight has shape \[31\]: config.json asks for \[32\]",
        ),
        (
            lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}),
            r"q_proj\.bias \(one of 1\) is not part of a llama model",
        ),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(32, dtype=torch.int8)}),
            r"model\.norm\.weight is torch\.int8: must be one of float32",
        ),
    ],
)
def test_tensors_must_match_the_configuration(folder: Path, change: Callable[[Tensors], object], message: str) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_old_frequency_tensors_are_ignored(folder: Path) -> None:
    rewrite(folder, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))
    load_model(folder)


def test_a_tied_head_may_be_stored_but_must_be_the_embedding(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**SMALL, "tie_word_embeddings": True}))
    with pytest.raises(ModelError, match=r"lm_head\.weight differs from the embedding"):
        load_model(folder)
    rewrite(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    load_model(folder)


def test_missing_and_broken_files_are_named(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x08" * 20)
    with pytest.raises(ModelError, match=r"model\.safetensors: not a safetensors file"):
        load_model(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        load_model(folder)
    with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
        load_model(folder / "nowhere")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "weight_map must map"),
        ({"weight_map": {"a": 1}}, "weight_map must map"),
        ({"weight_map": {"a": "gone.safetensors"}}, "names 'gone.safetensors', which is not a file"),
        ({"weight_map": {"a": "../model.safetensors"}}, "names '../model.safetensors', which is not a file"),
    ],
)
def test_a_shard_index_stays_in_its_folder(folder: Path, index: dict[str, object], message: str) -> None:
    (folder / WEIGHTS).rename(folder.parent / WEIGHTS)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_an_integer_dtype_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"dtype = torch\.int8: must be one of float32, bfloat16, float16"):
        load_model(folder, torch.int8)
