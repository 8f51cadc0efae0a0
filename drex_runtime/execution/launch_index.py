"""LaunchIndex: the only thing that changes from launch to launch: which rows, and where they write.

Padded to at least 4 rows with the scratch row: float32 matrix products of 1 to 3 rows take another path with other
bits than those of 4 or more, and a token must not depend on how many neighbours it had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_ROWS = 4
Index = NDArray[np.int64]


@dataclass(slots=True)
class LaunchIndex:
    """Rows of a launch, padded.

    `lengths`: positions each row attends to (`longest`, `total`); `write_*`: where its new K and V go.
    """

    count: int
    rows: Index
    positions: Index
    lengths: Index
    longest: int
    total: int
    tensor: Tensor
    position_tensor: Tensor
    write_base: Index
    write_stride: Index

    @property
    def live(self) -> Index:
        """The rows without padding."""
        return self.rows[:self.count]


def launch_index(rows: list[int], positions: Index, scratch_row: int) -> LaunchIndex:
    """The index of a launch; `positions[row]` is the position of each row's new token."""
    live = np.array(rows, dtype=np.int64)
    return token_index(live, positions[live], scratch_row)


def token_index(rows: Index, positions: Index, scratch_row: int) -> LaunchIndex:
    """The index of tokens `positions[i]` of rows `rows[i]`, which may repeat."""
    count = len(rows)
    padding = (0, max(LEAST_ROWS - count, 0))
    padded = np.pad(rows, padding, constant_values=scratch_row)
    at = np.pad(positions, padding)
    lengths = at + 1
    blank = np.zeros(len(padded), dtype=np.int64)
    return LaunchIndex(count, padded, at, lengths, int(lengths.max()), int(lengths.sum()), torch.from_numpy(padded),
                       torch.from_numpy(at), blank, blank)
