"""The `early_exit` block of config.json, and Balcony's fields that say the same.

    "early_exit": {"ramps": [4], "head": "shared", "confidence": "top2", "thresholds": ["0.55"]}

- `ramps`: layers the state went through; ramp 4 reads the state after four layers.
- `head`: `shared` (the model's LM head; LayerSkip needs nothing else) or `own`, one matrix `[V, d]` per ramp.
- `norm`: `shared` (the model's final norm), `own` or `none`. Default: as `head`.
- `layer`: what a ramp runs before its norm: `none`, `full` (a decoder layer), `attention` or `mlp` (half of one).
- `head_file`: a DREX head file in the folder (`model/drex_head.py`), the head of all ramps behind the model's norm.
- `thresholds`: decimals in strings, kept as exact rationals; 1 means that the ramp is never taken.

Tensors of own parts, ramps counted from 0 (names of a layer's parts as in a Hugging Face layer):
`early_exit.ramps.{i}.layer.*`, `early_exit.ramps.{i}.norm.weight`, `early_exit.ramps.{i}.head.weight`.
Balcony (`model_type: nested_llama`, Jamialahmadi et al., 2025) has its own fields and tensor names: `parse_early_exit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from drex_runtime.model.confidence import CONFIDENCE_KINDS
from drex_runtime.model.fields import FieldReader
from drex_runtime.records.numbers import number_text

HEADS = ("shared", "own")
NORMS = ("shared", "own", "none")
LAYERS = ("none", "full", "attention", "mlp")
BALCONY = "nested_llama"
_FIELDS = ("ramps", "head", "norm", "layer", "head_file", "confidence", "thresholds", "calibration")


@dataclass(frozen=True)
class EarlyExitConfig:
    """Where tokens may leave, what a ramp consists of, and above which confidence they do leave.

    `modules`: for Balcony, which exit module of the file belongs to each ramp; empty otherwise.
    """

    ramps: tuple[int, ...] = ()
    head: str = "shared"
    norm: str = "shared"
    layer: str = "none"
    head_file: str | None = None
    confidence: str = "top2"
    thresholds: tuple[Fraction, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[int, ...] = ()

    @property
    def layer_has_kv(self) -> bool:
        """Whether a ramp has K and V of its own, which every token writes that passes it."""
        return self.layer in ("full", "attention")

    def as_json(self) -> dict[str, Any]:
        """The block as it stands in config.json."""
        parts = {"head": self.head, "norm": self.norm, "layer": self.layer}
        return {
            "ramps": list(self.ramps),
            **parts,
            **({"head_file": self.head_file} if self.head_file is not None else {}),
            "confidence": self.confidence,
            "thresholds": [number_text(t) for t in self.thresholds],
            "calibration": dict(self.calibration),
        }


def parse_early_exit(fields: FieldReader, num_layers: int) -> EarlyExitConfig:
    """The block of a config.json, none (no ramps), or Balcony's fields, of which a block may choose ramps.

    Raises ModelError naming the field.
    """
    block = fields.section("early_exit")
    if fields.raw.get("model_type") == BALCONY:
        return _parse_balcony(fields, block, num_layers)
    if block is None:
        return EarlyExitConfig()
    head_file = _head_file(block)
    head = block.choice("head", HEADS, "shared" if head_file is None else "own")
    norm = block.choice("norm", NORMS, head if head_file is None else "shared")
    if head_file is not None and (head, norm) != ("own", "shared"):
        raise block.wrong("head_file", head_file, "absent where head is not 'own' or norm not 'shared'")
    layer = block.choice("layer", LAYERS, "none")
    return _with_decisions(block, _ramps(block, "ramps", num_layers), head, norm, layer, head_file)


def _parse_balcony(fields: FieldReader, block: FieldReader | None, num_layers: int) -> EarlyExitConfig:
    """`exit_layer_indices`: index L is the state after L layers. `output_exit_layers` fixes one depth for whole
    requests in the original, where here each token has its own: it may name none but those indices.
    """
    indices = fields.listed("exit_layer_indices", int)
    shown = fields.raw.get("output_exit_layers")
    if shown is not None and not set(shown if isinstance(shown, list) else [shown]) <= set(indices):
        raise fields.wrong("output_exit_layers", shown, f"among exit_layer_indices = {list(indices)}")
    mlp, attention = fields.flag("exit_mlp", False), fields.flag("exit_attention", False)
    whole = fields.flag("exit_decoder_layer", False) or (mlp and attention)
    layer = "full" if whole else "mlp" if mlp else "attention" if attention else "none"
    head = "shared" if fields.flag("tie_exit_lm_head", False) else "own"
    if block is None:
        block = FieldReader({"ramps": list(indices)}, fields.source, "exit_layer_indices as early_exit.")
    for name, value in (("head", head), ("norm", "own"), ("layer", layer)):
        block.only(name, (value,), value)
    block.only("head_file", (None,), None)
    ramps = _ramps(block, "ramps", num_layers)
    if not set(ramps) <= set(indices):
        raise block.wrong("ramps", list(ramps), f"among exit_layer_indices = {list(indices)}")
    return _with_decisions(block, ramps, head, "own", layer, None, tuple(indices.index(ramp) for ramp in ramps))


def _with_decisions(
    block: FieldReader,
    ramps: tuple[int, ...],
    head: str,
    norm: str,
    layer: str,
    head_file: str | None,
    modules: tuple[int, ...] = (),
) -> EarlyExitConfig:
    block.known(_FIELDS)
    kind = block.choice("confidence", CONFIDENCE_KINDS, "top2")
    texts = block.listed("thresholds", str) if "thresholds" in block.raw else ("1",) * len(ramps)
    if len(texts) != len(ramps):
        raise block.wrong("thresholds", list(texts), f"{len(ramps)} decimals, one per ramp")
    calibration = block.section("calibration")
    return EarlyExitConfig(
        ramps=ramps,
        head=head,
        norm=norm,
        layer=layer,
        head_file=head_file,
        confidence=kind,
        thresholds=tuple(_threshold(block, text) for text in texts),
        calibration=dict(calibration.raw) if calibration else {},
        modules=modules,
    )


def _ramps(block: FieldReader, name: str, num_layers: int) -> tuple[int, ...]:
    ramps = block.listed(name, int)
    if not ramps or list(ramps) != sorted(set(ramps)) or ramps[0] < 1 or ramps[-1] >= num_layers:
        right = f"ascending layer counts between 1 and {num_layers - 1}, at least one"
        raise block.wrong(name, list(ramps), right)
    return ramps


def _head_file(block: FieldReader) -> str | None:
    name = block.raw.get("head_file")
    if name is None:
        return None
    if not isinstance(name, str) or PurePath(name).name != name:
        raise block.wrong("head_file", name, "the name of a file in the model's folder")
    return name


def _threshold(block: FieldReader, text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if not 0 <= value <= 1:
        raise block.wrong("thresholds", text, 'a decimal in a string between "0" and "1"')
    return value
