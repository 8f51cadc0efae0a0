"""The integer time unit of a profile or workload.

Costs and clocks are integers in a declared tick; the model's exactness rests on never rounding inside a
run, so conversions that are not exact are refused here.
"""

from __future__ import annotations

from typing import Literal

from drex_runtime.errors import RecordError

Tick = Literal["ps", "ns", "us"]
TICKS_PER_SECOND: dict[Tick, int] = {"ps": 10**12, "ns": 10**9, "us": 10**6}

# Every clock stays below this, so that int64 arithmetic on times has room for products and sums.
MAX_TIME = 2**52


def convert_ticks(value: int, old: Tick, new: Tick, record: str, field: str) -> int:
    """`value` ticks of `old` as ticks of `new`, exactly; RecordError if it is not a whole number."""
    scaled, rest = divmod(value * TICKS_PER_SECOND[new], TICKS_PER_SECOND[old])
    if rest:
        raise RecordError(record, field, f"{value} {old}", f"a whole number of {new}")
    return scaled


def seconds(value: int, tick: Tick) -> float:
    """`value` ticks in seconds, for display only."""
    return value / TICKS_PER_SECOND[tick]
