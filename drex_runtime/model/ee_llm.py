"""EE-LLM and EE-Tuning checkpoints (Megatron) to a folder that `load_model` reads.

An exit is a norm (`layers.{id}.exit_norm.weight`, or none), maybe a decoder layer before it
(`layers.{id}.exit_block.*`), and an output matrix (`exit_output_layer.{i}.weight`, or the embedding's).
`exit_layer_nums` counts layers from 1; with `pre_exit` an exit reads the input of its layer, otherwise its output.
Source: Chen et al., EE-LLM (ICML 2024); Pan et al., EE-Tuning (2024).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from drex_runtime.model.errors import ModelError
from drex_runtime.model.fields import FieldReader
from drex_runtime.model.loading import DTYPES, SINGLE, load_model
from drex_runtime.model.megatron import MegatronCheckpoint, read_megatron

_PLAIN = {
    "input_norm.weight": "input_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "self_attention.dense.weight": "self_attn.o_proj.weight",
    "mlp.dense_4h_to_h.weight": "mlp.down_proj.weight",
}


def convert_ee_llm(source: Path, out: Path, exit_layers: Sequence[int] | None = None, vocab_size: int | None = None,
                   tokenizer: Path | None = None) -> None:
    """Write the new folder `out`; it appears only when it has been loaded back.

    `exit_layers` replaces args.exit_layer_nums; `vocab_size` drops Megatron's padding rows; `tokenizer` is a
    tokenizer.json to copy. Raises ModelError naming file and field for what is missing or not computed here.
    """
    if out.exists():
        raise ModelError(f"{out}: must be a folder that does not exist yet")
    if tokenizer is not None and not tokenizer.is_file():
        raise ModelError(f"{tokenizer}: is not a file")
    checkpoint = read_megatron(source)
    config, tensors = _Converter(checkpoint, exit_layers, vocab_size).convert()
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        save_file(tensors, work / SINGLE, metadata={"format": "pt"})
        (work / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if tokenizer is not None:
            shutil.copyfile(tokenizer, work / "tokenizer.json")
        load_model(work)
        work.chmod(0o755)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Converter:
    def __init__(self, checkpoint: MegatronCheckpoint, exit_layers: Sequence[int] | None,
                 vocab_size: int | None) -> None:
        self.checkpoint = checkpoint
        self.fields = FieldReader(checkpoint.args, str(checkpoint.source), "args.")
        self.exit_layers = exit_layers
        self.vocab_size = vocab_size
        self.tensors: dict[str, Tensor] = {}

    def convert(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """config.json and the tensors, under Hugging Face names."""
        self._refuse_what_is_not_computed()
        exits = self._exits()
        config = self._config()
        others = dict(self.checkpoint.others)
        self._put("model.embed_tokens.weight", self._rows(self._pop(others, "word_embeddings.weight")))
        self._put("model.norm.weight", self._pop(others, "final_norm.weight"))
        if not config["tie_word_embeddings"]:
            self._put("lm_head.weight", self._rows(self._pop(others, "output_layer.weight")))
        if others:
            raise ModelError(f"{self.fields.source}: {min(others)} is not part of a Llama model")
        config["early_exit"] = self._early_exit(exits)
        for number, layer in enumerate(self.checkpoint.layers):
            self._layer(layer, f"model.layers.{number}.", f"layers.{number}.")
            if layer:
                raise ModelError(f"{self.fields.source}: layers.{number}.{min(layer)} is not part of a Llama layer "
                                 "(exits with an MLP branch are not supported)")
        config["vocab_size"] = self.tensors["model.embed_tokens.weight"].shape[0]
        dtypes = {tensor.dtype for tensor in self.tensors.values()}
        config["dtype"] = DTYPES.get(dtypes.pop(), "float32") if len(dtypes) == 1 else "float32"
        return config, self.tensors

    def _refuse_what_is_not_computed(self) -> None:
        fields = self.fields
        fields.only("swiglu", (True,), False)
        fields.only("normalization", ("RMSNorm",), "LayerNorm")
        fields.only("add_bias_linear", (False,), True)
        fields.only("use_exit_mlp", (False,), False)
        fields.only("apply_layernorm_1p", (False,), False)
        fields.only("rotary_percent", (1, 1.0), 1.0)
        fields.only("rotary_seq_len_interpolation_factor", (None, 1), None)
        if fields.raw.get("position_embedding_type") != "rope" and not fields.flag(
                "use_rotary_position_embeddings", False):
            raise fields.wrong("position_embedding_type", fields.raw.get("position_embedding_type"), "'rope'")

    def _config(self) -> dict[str, Any]:
        fields = self.fields
        layers = fields.count("num_layers")
        if layers != len(self.checkpoint.layers):
            raise fields.wrong("num_layers", layers, f"the {len(self.checkpoint.layers)} layers of the files")
        self.heads = fields.count("num_attention_heads")
        grouped = fields.flag("group_query_attention", False)
        self.groups = fields.count("num_query_groups") if grouped else self.heads
        hidden = fields.count("hidden_size")
        self.head_dim = fields.count("kv_channels", hidden // self.heads)
        epsilon = "norm_epsilon" if fields.raw.get("norm_epsilon") is not None else "layernorm_epsilon"
        self.width = fields.count("ffn_hidden_size")
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": hidden,
            "intermediate_size": self.width,
            "num_hidden_layers": layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.groups,
            "head_dim": self.head_dim,
            "max_position_embeddings": fields.count("max_position_embeddings"),
            "rms_norm_eps": fields.positive(epsilon, 1e-5),
            "rope_theta": fields.positive("rotary_base", 10000.0),
            "hidden_act": "silu",
            "tie_word_embeddings": not fields.flag("untie_embeddings_and_output_weights", False),
        }

    def _exits(self) -> list[tuple[int, int]]:
        """(number of the layer that holds the exit's tensors, from 0; layers the state went through), ascending."""
        given = self.exit_layers
        numbers = tuple(given) if given is not None else self.fields.listed("exit_layer_nums", int)
        before = self.fields.flag("pre_exit", False)
        layers = len(self.checkpoint.layers)
        for number in numbers:
            if not 1 <= number - before < layers:
                right = f"numbers from {1 + before} to {layers - 1 + before}"
                raise self.fields.wrong("exit_layer_nums", list(numbers), right)
        return sorted((number - 1, number - before) for number in set(numbers))

    def _early_exit(self, exits: list[tuple[int, int]]) -> dict[str, Any]:
        """Put the ramps' tensors, and return the block that describes them."""
        layers, untied = self.checkpoint.layers, self.fields.flag("untie_exit_output_weights", False)
        if not exits:
            raise self.fields.wrong("exit_layer_nums", [], "at least one exit (or name them with --exit-layers)")
        normed = self._alike(exits, "exit_norm.weight")
        blocks = self._alike(exits, "exit_block.")
        if not untied and self.fields.flag("untie_embeddings_and_output_weights", False):
            raise self.fields.wrong("untie_exit_output_weights", False, "true where the model's output is untied")
        outputs = [list(each) for each in self.checkpoint.exit_outputs]
        for index, (holder, _) in enumerate(exits):
            ours = f"early_exit.ramps.{index}."
            if normed:
                self._put(f"{ours}norm.weight", layers[holder].pop("exit_norm.weight"))
            if blocks:
                block = {name.removeprefix("exit_block."): layers[holder].pop(name)
                         for name in list(layers[holder]) if name.startswith("exit_block.")}
                self._layer(block, f"{ours}layer.", f"layers.{holder}.exit_block.")
                if block:
                    raise ModelError(f"{self.fields.source}: layers.{holder}.exit_block.{min(block)} is not part of it")
            if untied:
                stage = outputs[self.checkpoint.stage_of_layer[holder]]
                if not stage:
                    raise ModelError(f"{self.fields.source}: no exit_output_layer is left for layer {holder + 1}")
                self._put(f"{ours}head.weight", self._rows(stage.pop(0)))
        if any(outputs):
            raise self.fields.wrong("exit_layer_nums", [holder + 1 for holder, _ in exits],
                                    "all exits of the files (one per exit_output_layer)")
        return {"ramps": [ramp for _, ramp in exits], "head": "own" if untied else "shared",
                "norm": "own" if normed else "none", "layer": "full" if blocks else "none"}

    def _alike(self, exits: list[tuple[int, int]], part: str) -> bool:
        """Whether the exits have tensors of this name; all or none must."""
        found = {any(name.startswith(part) for name in self.checkpoint.layers[holder]) for holder, _ in exits}
        if len(found) > 1:
            raise ModelError(f"{self.fields.source}: {part}* is at some exits only; all must be built alike")
        return found.pop()

    def _layer(self, layer: dict[str, Tensor], theirs: str, source: str) -> None:
        """Put the tensors of a layer and remove them from `layer`."""
        for name, target in _PLAIN.items():
            self._put(theirs + target, self._pop(layer, name, source))
        # Per group: the queries of its heads, then its key, then its value.
        per_group = self.heads // self.groups
        joint = self._pop(layer, "self_attention.query_key_value.weight", source)
        rows = (self.heads + 2 * self.groups) * self.head_dim
        if joint.dim() != 2 or joint.shape[0] != rows:
            raise ModelError(f"{self.fields.source}: {source}self_attention.query_key_value.weight has shape "
                             f"{list(joint.shape)}: args ask for {rows} rows")
        grouped = joint.view(self.groups, per_group + 2, self.head_dim, -1)
        for name, part in (("q", grouped[:, :per_group]), ("k", grouped[:, -2:-1]), ("v", grouped[:, -1:])):
            self._put(f"{theirs}self_attn.{name}_proj.weight", part.reshape(-1, joint.shape[1]))
        gate, up = self._pop(layer, "mlp.dense_h_to_4h.weight", source).chunk(2)
        self._put(f"{theirs}mlp.gate_proj.weight", gate)
        self._put(f"{theirs}mlp.up_proj.weight", up)

    def _put(self, name: str, tensor: Tensor) -> None:
        # Clones: tied or sliced tensors share memory, which safetensors refuses.
        self.tensors[name] = tensor.detach().clone().contiguous()

    def _pop(self, tensors: dict[str, Tensor], name: str, source: str = "") -> Tensor:
        if name not in tensors:
            raise ModelError(f"{self.fields.source}: tensor {source}{name} is missing")
        return tensors.pop(name)

    def _rows(self, matrix: Tensor) -> Tensor:
        """A matrix over the vocabulary without the padding rows."""
        if self.vocab_size is not None and not 2 <= self.vocab_size <= matrix.shape[0]:
            raise ModelError(f"vocab_size = {self.vocab_size}: must be 2 to the {matrix.shape[0]} rows of the files")
        return matrix[: self.vocab_size]
