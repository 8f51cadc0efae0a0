"""Decode attention compiled by numba: reads K and V in place through the tables, no gather, no padding.

Row by row in machine code, two passes over its cells: scores and their softmax, then the weighted values. All sums
run in one fixed order per row, whatever the number of threads or rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.launch_index import LaunchIndex
from drex_runtime.kv.tables import KVTables

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

# Sums may be reassociated into vector lanes, once, when compiled; nan and inf keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}
# Multiply-adds below which handing a share to another thread costs more than it saves (about 0.3 ms of work).
WORTH_A_THREAD = 2_000_000


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads of our own: numba's parallel loops would set the number of threads that PyTorch uses."""
    return ThreadPoolExecutor(thread_name_prefix="drex-attention")


class CompiledAttention:
    """See `DecodeAttention`; float32 only."""

    def __call__(self, tables: KVTables, launch: LaunchIndex, segment: int, offset: int, query: Tensor, key: Tensor,
                 value: Tensor) -> Tensor:
        """See `DecodeAttention`."""
        pool = tables.pool
        width = query.shape[1] * query.shape[2]
        out = torch.empty(query.shape[0], width)
        arguments = (query.numpy(), key.numpy(), value.numpy(), *pool.arrays, tables.base[segment - 1],
                     tables.stride[segment - 1], launch.rows, launch.lengths, launch.write_base, launch.write_stride,
                     offset, out.numpy())
        shares = min(torch.get_num_threads(), 2 * launch.total * width // WORTH_A_THREAD)
        if shares <= 1:
            _attend(0, len(launch.rows), *arguments)
            return out
        # Equal numbers of positions, not of rows: contexts differ.
        upto = np.searchsorted(np.cumsum(launch.lengths), launch.total * np.arange(1, shares) / shares).tolist()
        bounds = [0, *upto, len(launch.rows)]
        others = [_threads().submit(_attend, first, last, *arguments)
                  for first, last in pairwise(bounds[1:])]
        _attend(bounds[0], bounds[1], *arguments)
        for other in others:
            other.result()
        return out


@njit(cache=True, fastmath=FAST, nogil=True)
def _exp(x: np.float32) -> tuple[np.float32, np.int32]:
    """e^x for -87 <= x <= 0 (below: e^-87) as (m, n) with e^x = m * 2^n, m near 1.

    Written out so that it becomes vector code: a call per score would cost more than the score.
    Range reduction after Cody and Waite, minimax polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2].
    """
    x = max(x, np.float32(-87.0))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = x - n * np.float32(0.693359375)
    r = r - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    return p * r * r + r + np.float32(1.0), np.int32(n)


@njit(cache=True, fastmath=FAST, nogil=True)
def _softmax(scores: Floats, powers: Ints32, factors: Floats) -> None:
    """In place over one line; `powers` and `factors` are two views of one buffer as long as the line."""
    top = scores[0]
    for t in range(len(scores)):
        top = max(top, scores[t])
    for t in range(len(scores)):
        scores[t], power = _exp(scores[t] - top)
        powers[t] = (power + np.int32(127)) << np.int32(23)  # the bits of 2^power
    total = np.float32(0.0)
    for t in range(len(scores)):
        scores[t] *= factors[t]
        total += scores[t]
    for t in range(len(scores)):
        scores[t] /= total


@njit(cache=True, fastmath=FAST, nogil=True)
def _attend(first: int, last: int, q: Floats, k: Floats, v: Floats, keys: Floats, values: Floats, base: Ints,
            stride: Ints, rows: Ints, lengths: Ints, write_base: Ints, write_stride: Ints, offset: int,
            out: Floats) -> None:
    """Rows first..last of a launch. A cell is read once for all heads: its K (or V) lies together in memory."""
    kv_heads, size, heads = keys.shape[1], keys.shape[2], q.shape[1]
    group = heads // kv_heads
    scale = np.float32(1.0 / np.sqrt(np.float64(size)))
    query = np.empty((heads, size), dtype=np.float32)
    for i in range(first, last):
        row, length = rows[i], lengths[i]
        cell = write_base[i] + offset * write_stride[i]
        for head in range(kv_heads):
            for x in range(size):
                keys[cell, head, x] = k[i, head, x]
                values[cell, head, x] = v[i, head, x]
        for head in range(heads):
            for x in range(size):
                query[head, x] = q[i, head, x] * scale
        scores = np.empty((heads, length), dtype=np.float32)
        for t in range(length):
            cell = base[row, t] + offset * stride[row, t]
            for head in range(heads):
                at = keys[cell, head // group]
                dot = np.float32(0.0)
                for x in range(size):
                    dot += query[head, x] * at[x]
                scores[head, t] = dot
        powers = np.empty(length, dtype=np.int32)
        for head in range(heads):
            _softmax(scores[head], powers, powers.view(np.float32))
        attended = out[i].reshape(heads, size)
        attended[:] = np.float32(0.0)
        for t in range(length):
            cell = base[row, t] + offset * stride[row, t]
            for head in range(heads):
                at = values[cell, head // group]
                weight = scores[head, t]
                for x in range(size):
                    attended[head, x] += weight * at[x]
