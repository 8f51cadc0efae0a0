"""How well the median of a few rounds is known: an interval that assumes no distribution.

Of n independent rounds, the k-th smallest and the k-th largest value enclose the median of what they are drawn from
with probability 1 - 2 P(Binomial(n, 1/2) < k), whatever that distribution (exactly so if it is continuous). Source:
David and Nagaraja, Order Statistics, 3rd ed., section 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from math import comb

LEVEL = 0.95  # what is asked for; what few rounds can give may be less, and is said


@dataclass(frozen=True, slots=True)
class MedianInterval:
    """`low` to `high` holds the median with probability `level`. Fewer rounds than the level asked for needs: the
    smallest and the largest, with the level that they have (one round: a point, level 0)."""

    low: float
    high: float
    level: float

    @property
    def enough_rounds(self) -> bool:
        """Whether the level is the one asked for, or above."""
        return self.level >= LEVEL

    def excludes(self, value: float) -> bool:
        """Whether the median can be told from `value` at this level."""
        return self.level > 0 and not self.low <= value <= self.high


def median_interval(values: Items[float]) -> MedianInterval:
    """The narrowest interval of its kind whose level is `LEVEL` or more, else the widest."""
    ordered, rank = sorted(values), 1
    while 2 * (rank + 1) <= len(ordered) and level_of(len(ordered), rank + 1) >= LEVEL:
        rank += 1
    return MedianInterval(ordered[rank - 1], ordered[-rank], level_of(len(ordered), rank))


def level_of(rounds: int, rank: int = 1) -> float:
    """Probability that the median lies between the `rank`-th smallest and the `rank`-th largest of so many rounds."""
    outside: int = sum(comb(rounds, count) for count in range(rank))
    return 1 - outside / (1 << (rounds - 1))


def rounds_needed() -> int:
    """The fewest rounds whose smallest and largest value reach `LEVEL`."""
    rounds = 1
    while level_of(rounds) < LEVEL:
        rounds += 1
    return rounds
