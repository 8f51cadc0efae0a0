"""Which order of cells inside a superblock decode attention reads fastest: one table.

    python examples/benchmarks/kv_layout.py [--repeats 80] [--out FILE]

Segments of 4 layers; three quarters of every context come from a prompt, the rest token by token with all rows taking
turns, as decoding does. One call is one layer of one launch on one thread, layers in turn as a pass reads them; the
least time of all repeats is shown, because other programs may share the cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from drex_runtime.execution.attention_compiled import CompiledAttention
from drex_runtime.execution.launch_index import launch_index
from drex_runtime.kv import KVPool, KVTables
from drex_runtime.kv.pool import CellLayout

LAYERS = 4
SHAPES = ((32, 88, 4, 2, 32), (32, 512, 8, 4, 32), (8, 1024, 8, 4, 64))  # rows, context, heads, KV heads, head size
CHOICES: tuple[tuple[CellLayout, int], ...] = (("token", 16), ("token", 32), ("layer", 8), ("layer", 16),
                                               ("layer", 32), ("layer", 64))


def filled(rows: int, context: int, kv_heads: int, size: int, layout: CellLayout, tokens: int) -> KVTables:
    """Tables of `rows` rows with `context` positions in both segments, superblocks of `tokens` tokens."""
    pool = KVPool([LAYERS, LAYERS], 2 * rows * (-(-context // tokens)), tokens * LAYERS, kv_heads, size, layout=layout)
    tables = KVTables(pool, rows + 1, context)
    prompt = 3 * context // 4
    for segment in (1, 2):
        for row in range(rows):
            tables.own_run(segment, row, 0, prompt)
    for position in range(prompt, context):
        for segment in (1, 2):
            tables.own(segment, np.arange(rows), np.full(rows, position))
    return tables


def least_time(tables: KVTables, rows: int, context: int, heads: int, repeats: int) -> float:
    """Seconds of one layer's attention."""
    launch = launch_index(list(range(rows)), np.full(rows + 1, context - 1), rows)
    launch.write_base = tables.base[0, :rows, context - 1].copy()
    launch.write_stride = np.full(rows, tables.pool.strides[0])
    kv_heads, size = tables.pool.keys.shape[1:]
    query, key = torch.randn(rows, heads, size), torch.randn(rows, kv_heads, size)
    attention, best = CompiledAttention(), float("inf")
    for at in range(repeats + 1):
        since = time.perf_counter()
        attention(tables, launch, 1 + at // LAYERS % 2, at % LAYERS, query, key, key)
        best = min(best, time.perf_counter() - since) if at else best  # the first call compiles
    return best


def table(repeats: int) -> Iterator[str]:
    """The lines of the table."""
    yield "rows  context  heads  KV heads  head size  layout  tokens/block       ms   GB/s"
    for rows, context, heads, kv_heads, size in SHAPES:
        for layout, tokens in CHOICES:
            spent = least_time(filled(rows, context, kv_heads, size, layout, tokens), rows, context, heads, repeats)
            rate = rows * context * kv_heads * size * 8 / spent / 1e9
            yield (f"{rows:4d}  {context:7d}  {heads:5d}  {kv_heads:8d}  {size:9d}  {layout:6}  {tokens:12d}  "
                   f"{spent * 1e3:7.3f}  {rate:5.1f}")


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=80)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    with torch.inference_mode():
        for line in table(options.repeats):
            print(line, flush=True)
            lines.append(line)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
