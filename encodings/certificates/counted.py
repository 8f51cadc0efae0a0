"""Features on numbers: arrays over many workloads of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from xplain.encodings.certificates.features import Feature, Shape

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Counted:
    """`depths` [workload, request, token], `arrivals` [workload, request] in ticks."""

    def __init__(self, depths: npt.NDArray[np.integer], arrivals: Ints, shape: Shape) -> None:
        self.shape = shape
        self._early = (depths < shape.num_segments).astype(np.int64)
        self._arrivals = arrivals

    def early(self, request: int, token: int) -> Ints:
        """1 or 0."""
        return np.asarray(self._early[:, request, token])

    def arrival(self, request: int) -> Ints:
        """In ticks."""
        return np.asarray(self._arrivals[:, request])

    def total(self, parts: Sequence[Ints]) -> Ints:
        """Sum."""
        return np.asarray(sum(parts, np.zeros(len(self._early), np.int64)))

    def minus(self, one: Ints, other: Ints) -> Ints:
        """Difference."""
        return np.asarray(one - other)

    def largest(self, parts: Sequence[Ints]) -> Ints:
        """Maximum."""
        return reduce(np.maximum, parts)

    def smallest(self, parts: Sequence[Ints]) -> Ints:
        """Minimum."""
        return reduce(np.minimum, parts)

    def looked_up(self, index: Ints, values: Sequence[int]) -> Ints:
        """values[index]."""
        return np.asarray(np.array(values, np.int64)[index])

    def at_most(self, part: Ints, bound: int) -> Mask:
        """part <= bound."""
        return np.asarray(part <= bound)

    def every(self, parts: Sequence[Mask]) -> Mask:
        """And."""
        return reduce(np.logical_and, parts, np.ones(len(self._early), np.bool_))

    def some(self, parts: Sequence[Mask]) -> Mask:
        """Or."""
        return reduce(np.logical_or, parts, np.zeros(len(self._early), np.bool_))

    def negated(self, part: Mask) -> Mask:
        """Not."""
        return np.asarray(~part)

    def values(self, feature: Feature) -> npt.NDArray[np.float64]:
        """The feature of every workload."""
        return np.asarray(feature.numerator(self) / feature.denominator(self.shape), dtype=np.float64)
