"""Muon in float32: momentum whose update is made nearly orthogonal (Jordan et al., 2024).

torch has one, but it iterates in bfloat16, which processors without bf16 instructions emulate: a
step of the demo model then takes four times as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Odd quintic a*x + b*x^3 + c*x^5 that drives all singular values towards 1 in few rounds
# (coefficients of the publication: steep at 0, then oscillating within about 0.7 .. 1.2).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with its singular values moved towards 1, by Newton-Schulz rounds; same shape."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + torch.addmm(b * gram, gram, gram, alpha=c) @ x
    out: Tensor = x if wide is matrix else x.T
    return out


class Muon:
    """Nesterov momentum with orthogonalised updates for matrices only."""

    def __init__(self, matrices: Sequence[nn.Parameter], momentum: float = 0.95) -> None:
        self._matrices = list(matrices)
        self._momentum = momentum
        self._averages = [torch.zeros_like(m) for m in self._matrices]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update from the gradients; a tall matrix moves further, by sqrt(rows / columns)."""
        for matrix, average in zip(self._matrices, self._averages, strict=True):
            if matrix.grad is None:
                continue
            average.lerp_(matrix.grad, 1 - self._momentum)
            direction = orthogonalised(matrix.grad.lerp(average, self._momentum))
            stretch = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            matrix.add_(direction, alpha=-rate * stretch)
