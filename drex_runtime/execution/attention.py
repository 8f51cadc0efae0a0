"""Attention over cell tables: one interface, a plain PyTorch form and a compiled one for float32.

Rows read K and V where their tables say, so that nothing is moved when rows are split, parked or joined and a
shared entry is read from its exit layer. Each query row is computed by itself in a fixed order: its bits do not
depend on the other rows of the launch.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from drex_runtime.execution.launch_index import LaunchIndex
from drex_runtime.kv.tables import KVTables


class DecodeAttention(Protocol):
    """One new position per row: write its K and V, attend to all positions up to it."""

    def __call__(self, tables: KVTables, launch: LaunchIndex, segment: int, offset: int, query: Tensor, key: Tensor,
                 value: Tensor) -> Tensor:
        """q `[b, H, hd]`, k and v `[b, KV, hd]` of layer `offset` of the segment -> `[b, H * hd]`."""


class GatheredAttention:
    """The PyTorch form, any dtype: gathers the cells of all rows, padded to the longest, and multiplies."""

    def __call__(self, tables: KVTables, launch: LaunchIndex, segment: int, offset: int, query: Tensor, key: Tensor,
                 value: Tensor) -> Tensor:
        """See `DecodeAttention`."""
        pool, rows, length = tables.pool, launch.rows, launch.longest
        write = torch.from_numpy(launch.write_base + offset * launch.write_stride)
        pool.keys[write], pool.values[write] = key, value
        base, stride = tables.base[segment - 1], tables.stride[segment - 1]
        cells = torch.from_numpy(base[rows, :length] + offset * stride[rows, :length])
        count, heads, size = query.shape
        kv_heads = key.shape[1]
        keys = pool.keys[cells].permute(0, 2, 3, 1)  # [b, KV, hd, T]
        values = pool.values[cells].permute(0, 2, 1, 3)  # [b, KV, T, hd]
        scores = torch.matmul(query.reshape(count, kv_heads, heads // kv_heads, size), keys).float() * size**-0.5
        hidden = torch.arange(length) >= torch.from_numpy(launch.lengths).unsqueeze(1)
        weights = scores.masked_fill(hidden[:, None, None, :], float("-inf")).softmax(dim=-1)
        return torch.matmul(weights.to(values.dtype), values).reshape(count, heads * size)


def decode_attention(dtype: torch.dtype) -> DecodeAttention:
    """The form for this dtype: compiled for float32, PyTorch for the others."""
    if dtype == torch.float32:
        from drex_runtime.execution.attention_compiled import CompiledAttention  # numba only when it is used

        return CompiledAttention()
    return GatheredAttention()


def attend_chunk(query: Tensor, keys: Tensor, values: Tensor, before: int) -> Tensor:
    """Causal attention of a prompt chunk: q `[n, H, hd]` at positions before.. over k, v `[before + n, KV, hd]`.

    Returns `[n, H * hd]`.
    """
    count, heads, size = query.shape
    mask = None
    if before:
        mask = torch.ones(count, before + count, dtype=torch.bool).tril(before)
    out = functional.scaled_dot_product_attention(
        query.transpose(0, 1)[None], keys.transpose(0, 1)[None], values.transpose(0, 1)[None], attn_mask=mask,
        is_causal=mask is None, enable_gqa=keys.shape[1] != heads)
    return out[0].transpose(0, 1).reshape(count, heads * size)
