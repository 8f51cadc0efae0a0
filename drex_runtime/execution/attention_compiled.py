"""Decode attention compiled by numba: reads K and V in place through the tables, no gather, no padding.

One task per (row, KV head), two passes over the cells: scores and their softmax, then the weighted values. All
sums run in one fixed order per task, whatever the number of threads or rows.
"""

from __future__ import annotations

import threading

import numba
import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.launch_index import LaunchIndex
from drex_runtime.kv.tables import KVTables

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Sums may be reassociated into vector lanes, once, when compiled; nan and inf keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}
# numba's fallback threading layer is not reentrant: two engines in two threads must take turns.
_TURN = threading.Lock()
_MOST_THREADS = numba.get_num_threads()


class CompiledAttention:
    """See `DecodeAttention`; float32 only."""

    def __call__(self, tables: KVTables, launch: LaunchIndex, segment: int, offset: int, query: Tensor, key: Tensor,
                 value: Tensor) -> Tensor:
        """See `DecodeAttention`."""
        pool = tables.pool
        out = torch.empty(query.shape[0], query.shape[1] * query.shape[2])
        arguments = (query.numpy(), key.numpy(), value.numpy(), pool.keys.numpy(), pool.values.numpy(),
                     tables.base[segment - 1], tables.stride[segment - 1], launch.rows, launch.lengths,
                     launch.write_base, launch.write_stride, offset, out.numpy())
        if torch.get_num_threads() == 1:
            _attend_alone(*arguments)
            return out
        with _TURN:
            numba.set_num_threads(min(torch.get_num_threads(), _MOST_THREADS))
            _attend_together(*arguments)
        return out


@njit(cache=True, fastmath=FAST, nogil=True, inline="always")
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
def _attend_task(task: int, q: Floats, k: Floats, v: Floats, keys: Floats, values: Floats, base: Ints, stride: Ints,
                 rows: Ints, lengths: Ints, write_base: Ints, write_stride: Ints, offset: int, out: Floats) -> None:
    kv_heads, size = keys.shape[1], keys.shape[2]
    group = q.shape[1] // kv_heads
    i, head = task // kv_heads, task % kv_heads
    row, length = rows[i], lengths[i]
    cell = write_base[i] + offset * write_stride[i]
    for x in range(size):
        keys[cell, head, x] = k[i, head, x]
        values[cell, head, x] = v[i, head, x]
    scale = np.float32(1.0 / np.sqrt(np.float64(size)))
    query = np.empty((group, size), dtype=np.float32)
    for g in range(group):
        for x in range(size):
            query[g, x] = q[i, head * group + g, x] * scale
    scores = np.empty((group, length), dtype=np.float32)
    for t in range(length):
        at = keys[base[row, t] + offset * stride[row, t], head]
        for g in range(group):
            dot = np.float32(0.0)
            for x in range(size):
                dot += query[g, x] * at[x]
            scores[g, t] = dot
    powers = np.empty(length, dtype=np.int32)
    factors = powers.view(np.float32)
    for g in range(group):
        line = scores[g]
        top = line[0]
        for t in range(length):
            top = max(top, line[t])
        for t in range(length):
            line[t], power = _exp(line[t] - top)
            powers[t] = (power + np.int32(127)) << np.int32(23)
        total = np.float32(0.0)
        for t in range(length):
            line[t] *= factors[t]
            total += line[t]
        for t in range(length):
            line[t] /= total
    attended = np.zeros((group, size), dtype=np.float32)
    for t in range(length):
        at = values[base[row, t] + offset * stride[row, t], head]
        for g in range(group):
            weight = scores[g, t]
            for x in range(size):
                attended[g, x] += weight * at[x]
    for g in range(group):
        first = (head * group + g) * size
        for x in range(size):
            out[i, first + x] = attended[g, x]


@njit(cache=True, nogil=True)
def _attend_alone(q: Floats, k: Floats, v: Floats, keys: Floats, values: Floats, base: Ints, stride: Ints, rows: Ints,
                  lengths: Ints, write_base: Ints, write_stride: Ints, offset: int, out: Floats) -> None:
    for task in range(q.shape[0] * keys.shape[1]):
        _attend_task(task, q, k, v, keys, values, base, stride, rows, lengths, write_base, write_stride, offset, out)


@njit(cache=True, nogil=True, parallel=True)
def _attend_together(q: Floats, k: Floats, v: Floats, keys: Floats, values: Floats, base: Ints, stride: Ints,
                     rows: Ints, lengths: Ints, write_base: Ints, write_stride: Ints, offset: int, out: Floats) -> None:
    for task in prange(q.shape[0] * keys.shape[1]):
        _attend_task(task, q, k, v, keys, values, base, stride, rows, lengths, write_base, write_stride, offset, out)
