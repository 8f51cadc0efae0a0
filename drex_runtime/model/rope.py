"""Rotary position embedding: frequencies (plain and llama3 scaling) and their application per row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drex_runtime.model.fields import FieldReader


@dataclass(frozen=True)
class RopeConfig:
    """Base of the frequencies and, for `llama3`, how the long wavelengths are stretched."""

    theta: float = 10000.0
    kind: str = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192


def parse_rope(fields: FieldReader, max_positions: int) -> RopeConfig:
    """RoPE settings in both spellings: `rope_theta` + `rope_scaling`, or one `rope_parameters` block."""
    block = fields.section("rope_parameters") or fields.section("rope_scaling")
    outer = fields.positive("rope_theta", 10000.0)
    if block is None:
        return RopeConfig(theta=outer)
    for name, value in block.raw.items():
        if isinstance(value, dict):
            raise block.wrong(name, value, "absent: one rotation for all layers (per-layer RoPE is not supported)")
    theta = block.positive("rope_theta", outer)
    name = "type" if "type" in block.raw and "rope_type" not in block.raw else "rope_type"
    kind = block.choice(name, ("default", "llama3"), "default")
    block.only("partial_rotary_factor", (None, 1, 1.0), None)
    if kind == "default":
        return RopeConfig(theta=theta)
    low, high = block.positive("low_freq_factor"), block.positive("high_freq_factor")
    if high <= low:
        raise block.wrong("high_freq_factor", high, f"larger than low_freq_factor = {low}")
    original = block.count("original_max_position_embeddings", max_positions)
    return RopeConfig(theta, kind, block.positive("factor"), low, high, original)


def inverse_frequencies(config: RopeConfig, head_dim: int) -> Tensor:
    """Radians per position of each rotated pair, float32 `[head_dim / 2]`.

    llama3 (Llama 3.1 release): wavelengths longer than original/low are divided by `factor`, those
    shorter than original/high are kept, those between are interpolated.
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim
    frequencies = 1.0 / (config.theta**exponents)
    if config.kind == "default":
        return frequencies
    wavelengths = 2 * math.pi / frequencies
    smooth = (config.original_positions / wavelengths - config.low_freq_factor) / (
        config.high_freq_factor - config.low_freq_factor
    )
    smooth = smooth.clamp(0.0, 1.0)
    return (1 - smooth) * frequencies / config.factor + smooth * frequencies


class RotaryEmbedding(nn.Module):
    """Turns pairs (x[i], x[i + hd/2]) of each head by position times frequency.

    Angles of all positions are tabled once per device, in float32 whatever the model's dtype (8 bits of
    cosine are too few at position 1000); the turn is computed in float32 and rounded once.
    """

    def __init__(self, config: RopeConfig, head_dim: int, max_positions: int) -> None:
        super().__init__()
        self.config = config
        self.head_dim = head_dim
        self.max_positions = max_positions
        # No buffer: a cast of the model must not round it, and a model on the meta device has none.
        self._tables: dict[torch.device, Tensor] = {}
        self._latest: tuple[Tensor, Tensor, Tensor] | None = None

    def table(self, device: torch.device) -> Tensor:
        """cos and signed sin of every position, float32 `[positions, 2, head_dim]`, for x * cos + rolled x * sin."""
        if device not in self._tables:
            # Not an inference tensor: training may use the same model after a measurement.
            with torch.inference_mode(False):
                positions = torch.arange(self.max_positions, dtype=torch.int64).float()
                angles = torch.outer(positions, inverse_frequencies(self.config, self.head_dim))
                cos, sin = angles.cos(), angles.sin()
                table = torch.stack((torch.cat((cos, cos), dim=1), torch.cat((-sin, sin), dim=1)), dim=1)
                self._tables[device] = table.to(device)
        return self._tables[device]

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """`x[rows, heads, hd]` at `positions[rows]` -> the same shape, turned."""
        cos, sin = self._angles(positions, x.device)
        wide = x.float()
        return torch.addcmul(wide * cos, wide.roll(self.head_dim // 2, dims=-1), sin).to(x.dtype)

    def _angles(self, positions: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """cos and sin `[rows, 1, hd]`; all layers of a launch ask with the same tensor, so the last answer is kept."""
        if self._latest is None or self._latest[0] is not positions or self._latest[1].device != device:
            cos, sin = self.table(device)[positions].unsqueeze(2).unbind(1)
            self._latest = (positions, cos, sin)
        return self._latest[1:]
