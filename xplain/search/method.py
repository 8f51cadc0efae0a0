"""A search method that takes turns with others: it is asked for inputs and told what became of them.

What others found it reads from the shared `Incumbents`; its own samples are there too by the time it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from xplain.records import Origin, Point, Sample

RETRIES = 8


class SearchMethod(Protocol):
    """Seeks inputs with a large relative gap. Deterministic: a function of its seed and of what it was told."""

    @property
    def name(self) -> Origin:
        """Origin of its samples."""
        ...

    def ask(self, spent: float) -> list[Point]:
        """The next batch; `spent`: share of the budget of all methods that is gone, 0 to 1."""
        ...

    def tell(self, found: Sequence[Sample | None]) -> None:
        """What became of the batch, in its order. None: not evaluated, the budget ended."""
        ...
