"""Model configuration: the `config.json` of a Hugging Face folder plus an `early_exit` block (`model/early_exit.py`).

Everything that this engine does not compute exactly as written is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from drex_runtime.model.early_exit import EarlyExitConfig, parse_early_exit
from drex_runtime.model.errors import ModelError
from drex_runtime.model.families import FAMILIES, FamilyTraits
from drex_runtime.model.fields import FieldReader
from drex_runtime.model.rope import RopeConfig, parse_rope


@dataclass(frozen=True)
class ModelConfig:
    """Shapes and constants of one decoder-only model; sizes are numbers of elements."""

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    norm_eps: float
    tie_embeddings: bool
    rope: RopeConfig
    traits: FamilyTraits
    initializer_range: float = 0.02
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    early_exit: EarlyExitConfig = field(default_factory=EarlyExitConfig)

    @property
    def ramps(self) -> tuple[int, ...]:
        """Layer counts after which a ramp stands, ascending; empty for a model without ramps."""
        return self.early_exit.ramps

    @property
    def thresholds(self) -> tuple[Fraction, ...]:
        """Per ramp, the confidence above which a token leaves."""
        return self.early_exit.thresholds

    @property
    def confidence(self) -> str:
        """Name of the confidence rule, one of `CONFIDENCE_KINDS`."""
        return self.early_exit.confidence

    @property
    def num_segments(self) -> int:
        """K ramps cut the layers into K + 1 segments."""
        return len(self.ramps) + 1

    def segment_layers(self, segment: int) -> range:
        """Layer indices (from 0) of a segment (from 1). Raises IndexError outside 1..K+1."""
        if not 1 <= segment <= self.num_segments:
            raise IndexError(f"segment {segment} is not one of 1..{self.num_segments}")
        bounds = (0, *self.ramps, self.num_layers)
        return range(bounds[segment - 1], bounds[segment])

    def kv_layers(self, segment: int) -> int:
        """Layers of a segment that keep K and V: its own, and the layer of the ramp at its end if that has one."""
        at_ramp = self.early_exit.layer_has_kv and segment < self.num_segments
        return len(self.segment_layers(segment)) + at_ramp


def read_config(folder: Path, early_exit: Mapping[str, Any] | None = None) -> ModelConfig:
    """Read `folder/config.json`; `early_exit` replaces the block in the file. Raises ModelError."""
    path = folder / "config.json"
    raw = read_json_object(path)
    if early_exit is not None:
        raw = {**raw, "early_exit": dict(early_exit)}
    return parse_config(raw, str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object. Raises ModelError naming the file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: must hold one JSON object, found {type(raw).__name__}")
    return raw


def parse_config(raw: Mapping[str, Any], source: str = "config.json") -> ModelConfig:
    """Build a ModelConfig from parsed JSON; `source` names the file in errors. Raises ModelError."""
    fields = FieldReader(raw, source)
    family = fields.choice("model_type", tuple(FAMILIES))
    traits = FAMILIES[family](fields)
    hidden_size = fields.count("hidden_size")
    num_layers = fields.count("num_hidden_layers")
    num_heads = fields.count("num_attention_heads")
    num_kv_heads = fields.count("num_key_value_heads", num_heads)
    if num_heads % num_kv_heads:
        right = f"a divisor of num_attention_heads = {num_heads}"
        raise fields.wrong("num_key_value_heads", num_kv_heads, right)
    if raw.get("head_dim") is None and traits.default_head_dim is None and hidden_size % num_heads:
        right = f"a multiple of num_attention_heads = {num_heads}, or set head_dim"
        raise fields.wrong("hidden_size", hidden_size, right)
    head_dim = fields.count("head_dim", traits.default_head_dim or hidden_size // num_heads)
    if head_dim % 2:
        raise fields.wrong("head_dim", head_dim, "an even number (rotary embedding turns pairs)")
    vocab_size = fields.count("vocab_size", least=2)
    max_positions = fields.count("max_position_embeddings", 2048)
    fields.only("hidden_act", ("silu",), "silu")
    fields.only("quantization_config", (None,), None)
    return ModelConfig(
        family=family,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=fields.count("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        max_positions=max_positions,
        norm_eps=fields.positive("rms_norm_eps", 1e-6),
        tie_embeddings=fields.flag("tie_word_embeddings", False),
        rope=parse_rope(fields, max_positions),
        traits=traits,
        initializer_range=fields.positive("initializer_range", 0.02),
        bos_id=next(iter(fields.token_ids("bos_token_id", vocab_size)), None),
        eos_ids=fields.token_ids("eos_token_id", vocab_size),
        early_exit=parse_early_exit(fields, num_layers),
    )
