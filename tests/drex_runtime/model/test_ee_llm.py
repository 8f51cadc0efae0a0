"""EE-LLM checkpoints, written in Megatron's layout, become folders with the same tensors; nothing in them runs."""

from __future__ import annotations

import argparse
import enum
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from drex_runtime.cli import app
from drex_runtime.model import load_model
from drex_runtime.model.ee_llm import convert_ee_llm
from drex_runtime.model.errors import ModelError
from tests.drex_runtime.model.folders import LAYERS, VOCABULARY, WIDTH, D, Weights

HEADS, GROUPS, HEAD_DIM, PADDED = 4, 2, 8, 64
ARGS: dict[str, Any] = {
    "num_layers": LAYERS, "hidden_size": D, "ffn_hidden_size": WIDTH, "num_attention_heads": HEADS, "kv_channels": 8,
    "group_query_attention": True, "num_query_groups": GROUPS, "max_position_embeddings": 64, "norm_epsilon": 1e-5,
    "swiglu": True, "normalization": "RMSNorm", "add_bias_linear": False, "position_embedding_type": "rope",
    "rotary_percent": 1.0, "untie_embeddings_and_output_weights": True, "untie_exit_output_weights": True,
    "use_exit_mlp": False, "exit_layer_nums": [2, 4], "pre_exit": False, "params_dtype": torch.float32,
}


class Kind(enum.Enum):
    """A class of the training program, as checkpoints hold them."""

    ENCODER = 1


class Checkpoint:
    """A small EE-LLM checkpoint: the tensors under Hugging Face names, and how to write them for Megatron."""

    def __init__(self, norms: bool = True, blocks: bool = False, **args: Any) -> None:
        self.args = {**ARGS, **args}
        self.weights, self.norms, self.blocks = Weights(3), norms, blocks
        self.tensors = self.weights.tensors
        for index, _ in enumerate(self.args["exit_layer_nums"]):
            ours = f"early_exit.ramps.{index}."
            if norms:
                self.weights.add(f"{ours}norm.weight", D)
            if blocks:
                self.weights.add_layer(f"{ours}layer.")
            if self.args["untie_exit_output_weights"]:
                self.weights.add(f"{ours}head.weight", VOCABULARY, D)

    def write(self, folder: Path, tensor: int = 1, stages: int = 1, extra: object = None) -> Path:
        """`folder/iter_0000007/mp_rank_*`, split over tensor and pipeline ranks."""
        per_stage = LAYERS // stages
        exits = dict(enumerate(self.args["exit_layer_nums"]))
        for rank in range(tensor):
            for stage in range(stages):
                first = stage * per_stage
                encoder: dict[str, Tensor] = {}
                outputs: dict[str, Tensor] = {}
                for number in range(first, first + per_stage):
                    encoder |= self.layer(f"model.layers.{number}.", f"layers.{number - first}.", rank, tensor)
                for index, number in exits.items():
                    if not first < number <= first + per_stage:
                        continue
                    at, ours = f"layers.{number - 1 - first}.", f"early_exit.ramps.{index}."
                    if self.norms:
                        encoder[f"{at}exit_norm.weight"] = self.tensors[f"{ours}norm.weight"]
                    if self.blocks:
                        encoder |= self.layer(f"{ours}layer.", f"{at}exit_block.", rank, tensor)
                    if self.args["untie_exit_output_weights"]:
                        outputs[f"{len(outputs)}.weight"] = self.vocabulary(f"{ours}head.weight", rank, tensor)
                language: dict[str, Any] = {"encoder": encoder}
                if outputs:
                    language["exit_output_layer"] = outputs
                if stage == 0:
                    word = self.vocabulary("model.embed_tokens.weight", rank, tensor)
                    language["embedding"] = {"word_embeddings": {"weight": word}}
                if stage == stages - 1:
                    encoder["final_norm.weight"] = self.tensors["model.norm.weight"]
                    if self.args["untie_embeddings_and_output_weights"]:
                        language["output_layer"] = {"weight": self.vocabulary("lm_head.weight", rank, tensor)}
                name = f"mp_rank_{rank:02d}" + (f"_{stage:03d}" if stages > 1 else "")
                target = folder / "iter_0000007" / name
                target.mkdir(parents=True)
                namespace = argparse.Namespace(**self.args, model_type=Kind.ENCODER)
                content = {"args": namespace, "iteration": 7, "model": {"language_model": language},
                           "rng_state": [{"np_rng_state": np.random.RandomState(0).get_state()}], "extra": extra}
                torch.save(content, target / "model_optim_rng.pt")
        (folder / "latest_checkpointed_iteration.txt").write_text("7")
        return folder

    def layer(self, theirs: str, ours: str, rank: int, tensor: int) -> dict[str, Tensor]:
        """One layer's part of one tensor rank, under Megatron's names."""
        get = self.tensors.__getitem__
        q, k, v = (get(f"{theirs}self_attn.{x}_proj.weight").view(GROUPS, -1, D) for x in "qkv")
        joint = torch.cat((q, k, v), dim=1).reshape(-1, D)
        gate, up = (get(f"{theirs}mlp.{x}_proj.weight").chunk(tensor)[rank] for x in ("gate", "up"))
        return {
            f"{ours}input_norm.weight": get(f"{theirs}input_layernorm.weight"),
            f"{ours}self_attention.query_key_value.weight": joint.chunk(tensor)[rank],
            f"{ours}self_attention.dense.weight": get(f"{theirs}self_attn.o_proj.weight").chunk(tensor, 1)[rank],
            f"{ours}post_attention_norm.weight": get(f"{theirs}post_attention_layernorm.weight"),
            f"{ours}mlp.dense_h_to_4h.weight": torch.cat((gate, up)),
            f"{ours}mlp.dense_4h_to_h.weight": get(f"{theirs}mlp.down_proj.weight").chunk(tensor, 1)[rank],
        }

    def vocabulary(self, name: str, rank: int, tensor: int) -> Tensor:
        """A matrix over the vocabulary, padded as Megatron pads, one rank's rows."""
        padded = torch.cat((self.tensors[name], torch.zeros(PADDED - VOCABULARY, D)))
        return padded.chunk(tensor)[rank]

    def expect(self, out: Path, ramps: tuple[int, ...]) -> None:
        """The folder holds exactly these tensors, and its ramps stand there."""
        from safetensors.torch import load_file

        found = load_file(out / "model.safetensors")
        tied = not self.args["untie_embeddings_and_output_weights"]
        expected = {name: tensor for name, tensor in self.tensors.items() if not (tied and name == "lm_head.weight")}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        model = load_model(out)
        assert model.config.ramps == ramps and model.config.num_kv_heads == GROUPS
        assert model.head_logits(torch.randn(4, D), 1).shape == (4, VOCABULARY)


@pytest.mark.parametrize(("tensor", "stages"), [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_shards_and_stages_are_joined(tmp_path: Path, tensor: int, stages: int) -> None:
    checkpoint = Checkpoint()
    source = checkpoint.write(tmp_path / "source", tensor, stages)
    convert_ee_llm(source, tmp_path / "out", vocab_size=VOCABULARY)
    checkpoint.expect(tmp_path / "out", (2, 4))


VARIANTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "before the layer": ({"pre_exit": True, "exit_layer_nums": [2, 6]}, (1, 5)),
    "no norms": ({"norms": False}, (2, 4)),
    "exit blocks": ({"blocks": True}, (2, 4)),
    "tied": ({"untie_embeddings_and_output_weights": False, "untie_exit_output_weights": False}, (2, 4)),
    "one exit": ({"exit_layer_nums": [5]}, (5,)),
}


@pytest.mark.parametrize(("settings", "ramps"), VARIANTS.values(), ids=VARIANTS.keys())
def test_exits_as_they_were_built(tmp_path: Path, settings: dict[str, Any], ramps: tuple[int, ...]) -> None:
    checkpoint = Checkpoint(**settings)
    source = checkpoint.write(tmp_path / "source", 2, 2)
    convert_ee_llm(source / "iter_0000007", tmp_path / "out", vocab_size=VOCABULARY)
    checkpoint.expect(tmp_path / "out", ramps)


class Trap:
    """Runs code when it is unpickled by anything that runs code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("trapped",))


def test_nothing_in_the_files_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Checkpoint().write(tmp_path / "source", extra=Trap())
    with pytest.raises(ModelError, match="cannot be read as tensors"):
        convert_ee_llm(source, tmp_path / "out")
    assert not (tmp_path / "trapped").exists() and not (tmp_path / "out").exists()


def test_the_command_converts_and_keeps_padding_unless_told(tmp_path: Path) -> None:
    checkpoint = Checkpoint(exit_layer_nums=[3])
    source = checkpoint.write(tmp_path / "source")
    found = CliRunner().invoke(app, ["convert-ee-llm", str(source), str(tmp_path / "out"), "--exit-layers", "3"])
    assert found.exit_code == 0, found.output
    assert "ramps after 3" in found.output
    assert load_model(tmp_path / "out").config.vocab_size == PADDED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"swiglu": False}, r"args\.swiglu = False: must be True"),
        ({"normalization": "LayerNorm"}, r"args\.normalization = LayerNorm: must be 'RMSNorm'"),
        ({"use_exit_mlp": True}, r"args\.use_exit_mlp = True: must be False"),
        ({"num_layers": 7}, r"args\.num_layers = 7: must be the 6 layers of the files"),
        ({"exit_layer_nums": [6]}, r"args\.exit_layer_nums = \[6\]: must be numbers from 1 to 5"),
        ({"exit_layer_nums": []}, r"args\.exit_layer_nums = \[\]: must be at least one exit"),
        ({"num_query_groups": 4}, r"query_key_value\.weight has shape \[64, 32\]: args ask for 96 rows"),
        ({"rotary_percent": 0.5}, r"args\.rotary_percent = 0\.5: must be 1"),
    ],
)
def test_what_cannot_be_converted_is_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    source = Checkpoint(**settings).write(tmp_path / "source")
    with pytest.raises(ModelError, match=message):
        convert_ee_llm(source, tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source"]


def test_missing_shards_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no mp_rank_\* folder here"):
        convert_ee_llm(tmp_path, tmp_path / "out")
    source = Checkpoint().write(tmp_path / "source", 2, 2)
    (source / "iter_0000007" / "mp_rank_01_001" / "model_optim_rng.pt").unlink()
    with pytest.raises(ModelError, match=r"mp_rank_01_001/model_optim_rng\.pt: is not a file"):
        convert_ee_llm(source, tmp_path / "out")
    (source / "iter_0000007" / "mp_rank_01_001").rmdir()
    with pytest.raises(ModelError, match="tensor rank 1, pipeline rank 1 is missing"):
        convert_ee_llm(source, tmp_path / "out")
