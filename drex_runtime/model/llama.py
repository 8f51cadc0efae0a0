"""The early-exit Llama: one module tree for training (whole sequences) and the engine (rows).

Everything here is per row: hidden states `[rows, d]`, positions `[rows]`. Attention itself, which
mixes rows with a cache, belongs to the caller: the engine reads its KV pool, training its sequence.
K is returned after (k-norm and) RoPE, so that an entry can stand for a skipped layer's unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drex_runtime.model.config import ModelConfig
from drex_runtime.model.rope import RotaryEmbedding


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last dimension (Zhang and Sennrich, 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class AttentionHalf(nn.Module):
    """The attention half of a pre-norm block, cut where attention happens: `qkv` before it, `finish` after it.

    q, k, v are one matrix: at few rows a launch costs its calls.
    """

    def __init__(self, config: ModelConfig, rotary: RotaryEmbedding) -> None:
        super().__init__()
        d, traits = config.hidden_size, config.traits
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.head_dim = config.head_dim
        qkv_size = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.input_norm = RMSNorm(d, config.norm_eps)
        self.qkv_proj = nn.Linear(d, qkv_size, bias=traits.qkv_bias)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if traits.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if traits.qk_norm else None
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, d, bias=traits.output_bias)
        self.rotary = rotary

    def qkv(self, hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`hidden[rows, d]`, `positions[rows]` -> q `[rows, H, hd]`, k and v `[rows, KV, hd]`."""
        heads, kv_heads = self.num_heads, self.num_kv_heads
        joint = self.qkv_proj(self.input_norm(hidden)).view(-1, heads + 2 * kv_heads, self.head_dim)
        value = joint[:, heads + kv_heads :]
        if self.q_norm is None or self.k_norm is None:
            turned = self.rotary(joint[:, : heads + kv_heads], positions)
            return turned[:, :heads], turned[:, heads:], value
        query = self.rotary(self.q_norm(joint[:, :heads]), positions)
        key = self.rotary(self.k_norm(joint[:, heads : heads + kv_heads]), positions)
        return query, key, value

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Residual of `attended[rows, H*hd]` through o_proj: `[rows, d]`."""
        out: Tensor = hidden + self.o_proj(attended)
        return out


class MLPPart(nn.Module):
    """Norm and gated MLP with its residual; gate and up are one matrix."""

    def build_mlp(self, config: ModelConfig) -> None:
        """Create the parameters (apart from construction, so that a whole layer can take them in)."""
        d, self.width, bias = config.hidden_size, config.intermediate_size, config.traits.mlp_bias
        self.post_norm = RMSNorm(d, config.norm_eps)
        self.gate_up_proj = nn.Linear(d, 2 * self.width, bias=bias)
        self.down_proj = nn.Linear(self.width, d, bias=bias)

    def mlp(self, hidden: Tensor) -> Tensor:
        """`[rows, d]` -> `[rows, d]`."""
        gate, up = self.gate_up_proj(self.post_norm(hidden)).split(self.width, dim=-1)
        out: Tensor = hidden + self.down_proj(functional.silu(gate) * up)
        return out


class MLPHalf(MLPPart):
    """The MLP half of a block as a layer by itself."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.build_mlp(config)


class DecoderLayer(AttentionHalf, MLPPart):
    """One pre-norm block: `qkv`, attention (the caller's), `finish`."""

    def __init__(self, config: ModelConfig, rotary: RotaryEmbedding) -> None:
        super().__init__(config, rotary)
        self.build_mlp(config)

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Residual of `attended[rows, H*hd]` through o_proj, then the MLP with its residual: `[rows, d]`."""
        return self.mlp(super().finish(hidden, attended))


class Ramp(nn.Module):
    """What a ramp has for itself; None where it uses the model's part or has no such part."""

    def __init__(self, config: ModelConfig, rotary: RotaryEmbedding) -> None:
        super().__init__()
        kind = config.early_exit
        self.layer: AttentionHalf | MLPHalf | None = None
        if kind.layer == "full":
            self.layer = DecoderLayer(config, rotary)
        elif kind.layer == "attention":
            self.layer = AttentionHalf(config, rotary)
        elif kind.layer == "mlp":
            self.layer = MLPHalf(config)
        own_norm, own_head = kind.norm == "own", kind.head == "own"
        self.norm = RMSNorm(config.hidden_size, config.norm_eps) if own_norm else None
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False) if own_head else None


class EarlyExitLlama(nn.Module):
    """Embedding, layers, final norm, LM head, and what ramps have for themselves (`model/early_exit.py`)."""

    layers: nn.ModuleList
    ramps: nn.ModuleList

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.rotary = RotaryEmbedding(config.rope, config.head_dim, config.max_positions)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, self.rotary) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        # A tied head has no parameter of its own, so that no move or cast can part the two.
        untied = not config.tie_embeddings
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False) if untied else None
        self.ramps = nn.ModuleList(Ramp(config, self.rotary) for _ in config.ramps)

    def segment_layers(self, segment: int) -> range:
        """Layer indices (from 0) of a segment (from 1)."""
        return self.config.segment_layers(segment)

    def layer(self, index: int) -> DecoderLayer:
        """`layers[index]` with its type."""
        layer = self.layers[index]
        if not isinstance(layer, DecoderLayer):
            raise TypeError(f"layer {index} is a {type(layer).__name__}")
        return layer

    @property
    def head_weight(self) -> Tensor:
        """Weight of the LM head, `[V, d]`."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def embed(self, token_ids: Tensor) -> Tensor:
        """`token_ids[rows]` -> `[rows, d]`."""
        embedded: Tensor = self.embed_tokens(token_ids)
        return embedded

    def ramp(self, ramp: int) -> Ramp:
        """Parts of a ramp (from 1). Raises IndexError for one the model does not have."""
        if not 1 <= ramp <= len(self.config.ramps):
            raise IndexError(f"ramp {ramp} is not one of 1..{len(self.config.ramps)}")
        parts = self.ramps[ramp - 1]
        if not isinstance(parts, Ramp):
            raise TypeError(f"ramp {ramp} is a {type(parts).__name__}")
        return parts

    def ramp_attention(self, ramp: int) -> AttentionHalf | None:
        """The layer of a ramp (from 1) that has K and V of its own, if it has one.

        Every token that passes the ramp writes its K and V there, whether the ramp is asked or not.
        """
        layer = self.ramp(ramp).layer
        return layer if isinstance(layer, AttentionHalf) else None

    def head_logits(self, hidden: Tensor, ramp: int | None = None) -> Tensor:
        """`hidden[rows, d]` -> logits `[rows, V]` of a ramp (from 1) or, with None, of the end of the model.

        `hidden` is the state at the ramp; where the ramp has a layer with attention, what that layer made of it.
        Raises IndexError for a ramp the model does not have.
        """
        if ramp is None:
            return functional.linear(self.norm(hidden), self.head_weight)
        parts = self.ramp(ramp)
        if isinstance(parts.layer, MLPHalf):
            hidden = parts.layer.mlp(hidden)
        norm = parts.norm or (self.norm if self.config.early_exit.norm == "shared" else None)
        weight = self.head_weight if parts.head is None else parts.head.weight
        return functional.linear(hidden if norm is None else norm(hidden), weight)


def random_model(
    config: ModelConfig,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> EarlyExitLlama:
    """A model with normally distributed weights, the same for the same config, seed, dtype and device type.

    Matrices have the deviation `initializer_range`, those that write into the residual stream less
    (divided by sqrt(2 * layers), as GPT-2); biases are 0 and norms 1.
    """
    with torch.device("meta"):
        model = EarlyExitLlama(config)
    model = model.to(dtype).to_empty(device=device)
    generator = torch.Generator(device=device).manual_seed(seed)
    residual = config.initializer_range / (2 * config.num_layers) ** 0.5
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                writes = name.endswith(("o_proj.weight", "down_proj.weight"))
                parameter.normal_(0.0, residual if writes else config.initializer_range, generator=generator)
    return model
