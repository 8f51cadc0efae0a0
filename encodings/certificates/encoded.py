"""Features as terms over the variables of an input space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from xplain.encodings.certificates.features import Shape
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.terms import Bool, Int, Terms


class Encoded:
    """`inputs` of one length per request, the same for all (`workloads.shape_of` checks it)."""

    def __init__(self, terms: Terms, inputs: Inputs, shape: Shape) -> None:
        self.shape, self._terms, self._inputs = shape, terms, inputs

    def early(self, request: int, token: int) -> Int:
        """1 or 0."""
        if self.shape.num_segments == 1:
            return self._terms.constant(0)
        return self._terms.number(self._inputs.requests[request].depth_at_most[token][self.shape.num_segments - 2])

    def arrival(self, request: int) -> Int:
        """In ticks."""
        return self._inputs.requests[request].arrival

    def total(self, parts: Sequence[Int]) -> Int:
        """Sum."""
        return self._terms.total(parts)

    def minus(self, one: Int, other: Int) -> Int:
        """Difference."""
        return one - other

    def largest(self, parts: Sequence[Int]) -> Int:
        """Maximum."""
        return reduce(self._terms.maximum, parts)

    def smallest(self, parts: Sequence[Int]) -> Int:
        """Minimum."""
        return reduce(self._terms.minimum, parts)

    def looked_up(self, index: Int, values: Sequence[int]) -> Int:
        """values[index]."""
        return self._terms.table(index, values)

    def at_most(self, part: Int, bound: int) -> Bool:
        """part <= bound."""
        return part <= bound

    def every(self, parts: Sequence[Bool]) -> Bool:
        """And."""
        return self._terms.all_of(parts)

    def some(self, parts: Sequence[Bool]) -> Bool:
        """Or."""
        return self._terms.any_of(parts)

    def negated(self, part: Bool) -> Bool:
        """Not."""
        return ~part
