"""One suite over the forms of decode attention: the same numbers, and bits that do not depend on the neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from drex_runtime.execution import attention_compiled
from drex_runtime.execution.attention import DecodeAttention, GatheredAttention, attend_chunk
from drex_runtime.execution.attention_compiled import CompiledAttention
from drex_runtime.execution.launch_index import launch_index
from drex_runtime.kv import KVPool, KVTables

FORMS: dict[str, DecodeAttention] = {"gathered": GatheredAttention(), "compiled": CompiledAttention()}
SHAPES = [(4, 4, 8), (4, 2, 8), (6, 1, 32), (8, 2, 20)]  # heads, KV heads, head size
LENGTHS = [1, 2, 7, 40, 19, 33]


class Setting:
    """Rows with K and V in two segments of 2 layers; some positions shared in the second."""

    def __init__(self, heads: int, kv_heads: int, size: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.heads, self.pool = heads, KVPool([2, 2], 64, 16, kv_heads, size)
        self.tables = KVTables(self.pool, len(LENGTHS) + 1)
        for tensor in (self.pool.keys, self.pool.values):
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        for position in range(max(LENGTHS)):
            rows = np.array([row for row, length in enumerate(LENGTHS) if position < length])
            at = np.full(len(rows), position)
            self.tables.own(1, rows, at)
            deep = (rows + position) % 3 > 0
            deep |= np.array([LENGTHS[row] for row in rows]) == position + 1  # the new token computes the segment
            self.tables.own(2, rows[deep], at[deep])
            self.tables.share(1, rows[~deep], at[~deep])
        self.query = torch.randn(len(LENGTHS), heads, size, generator=generator)
        self.key, self.value = torch.randn(2, len(LENGTHS), kv_heads, size, generator=generator)

    def run(self, form: DecodeAttention, rows: list[int], offset: int = 1) -> Tensor:
        """Attention of these rows at the second layer of segment 2."""
        positions = np.array([*(length - 1 for length in LENGTHS), 0])
        launch = launch_index(rows, positions, len(LENGTHS))
        pads = len(launch.rows) - len(rows)
        launch.write_base = np.array([*self.tables.base[1, rows, positions[rows]], *[0] * pads])
        launch.write_stride = np.array([self.pool.strides[1]] * len(rows) + [0] * pads)
        index = torch.tensor(rows + [0] * pads)
        return form(self.tables, launch, 2, offset, self.query[index], self.key[index], self.value[index])[:len(rows)]

    def expected(self, row: int, offset: int = 1) -> Tensor:
        """The same row by the textbook, in float64."""
        cells = torch.from_numpy(self.tables.cells(2, row, LENGTHS[row], offset))
        keys, values = self.pool.keys[cells].double(), self.pool.values[cells].double()
        keys[-1], values[-1] = self.key[row].double(), self.value[row].double()
        group = self.heads // keys.shape[1]
        out = []
        for head in range(self.heads):
            scores = keys[:, head // group] @ self.query[row, head].double() / keys.shape[2] ** 0.5
            out.append(scores.softmax(0) @ values[:, head // group])
        return torch.cat(out).float()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_textbook(form: str, shape: tuple[int, int, int]) -> None:
    setting = Setting(*shape)
    expected = torch.stack([setting.expected(row) for row in range(len(LENGTHS))])
    torch.testing.assert_close(setting.run(FORMS[form], list(range(len(LENGTHS)))), expected, atol=2e-6, rtol=2e-6)
    # What was written is what the next step reads.
    row = 3
    cell = setting.tables.cells(2, row, LENGTHS[row], 1)[-1]
    assert torch.equal(setting.pool.keys[cell], setting.key[row])
    assert torch.equal(setting.pool.values[cell], setting.value[row])


@contextmanager
def threads(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch's number of threads, and every launch worth sharing."""
    before = torch.get_num_threads()
    monkeypatch.setattr(attention_compiled, "WORTH_A_THREAD", 1)
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def test_bits_do_not_depend_on_neighbours_or_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(4, 2, 8)
    together = setting.run(FORMS["compiled"], list(range(len(LENGTHS))))
    for rows in ([3], [5, 3], [0, 3, 1, 2], [4, 5, 3, 0, 1]):
        assert torch.equal(setting.run(FORMS["compiled"], rows), together[rows])
    with threads(3, monkeypatch):
        assert torch.equal(setting.run(FORMS["compiled"], list(range(len(LENGTHS)))), together)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_compiled_softmax_over_wide_scores(scale: float) -> None:
    """Scores thousands apart neither overflow nor lose the largest."""
    setting = Setting(4, 2, 8)
    setting.query *= scale
    expected = torch.stack([setting.expected(row) for row in range(len(LENGTHS))])
    torch.testing.assert_close(setting.run(FORMS["compiled"], list(range(len(LENGTHS)))), expected, atol=3e-4,
                               rtol=3e-4)


def test_chunks_equal_one_prompt() -> None:
    generator = torch.Generator().manual_seed(2)
    query = torch.randn(9, 4, 8, generator=generator)
    key, value = torch.randn(2, 9, 2, 8, generator=generator)
    whole = attend_chunk(query, key, value, 0)
    for cut in (1, 4, 8):
        parts = [attend_chunk(query[:cut], key[:cut], value[:cut], 0), attend_chunk(query[cut:], key, value, cut)]
        torch.testing.assert_close(torch.cat(parts), whole)
