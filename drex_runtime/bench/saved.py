"""Reading a result that `drex bench --save-result` wrote, also in an earlier version: it takes the rounds only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from drex_runtime.bench.compare import BASELINE
from drex_runtime.bench.result import SCHEMA
from drex_runtime.errors import InputError, RecordError
from drex_runtime.records.files import read_record


@dataclass(frozen=True, slots=True)
class SavedRound:
    """Throughput of one run."""

    tokens_per_second: float

    def __post_init__(self) -> None:
        if self.tokens_per_second <= 0:
            raise RecordError("round", "tokens_per_second", self.tokens_per_second, "a number above 0")


@dataclass(frozen=True, slots=True)
class SavedRow:
    """The rounds of a policy (`fill`: under this KV fill) at an exit rate."""

    case: str
    policy: str
    rounds: tuple[SavedRound, ...]
    fill: str = ""
    preemptions: float = 0.0
    occupancy: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class SavedFills:
    """The table at equal pool bytes; ratios are to the fill `against`."""

    policy: str
    against: str
    pool_bytes: int
    rows: tuple[SavedRow, ...]


@dataclass(frozen=True, slots=True)
class SavedBench:
    """What tables need of a result; everything else in the file is passed over."""

    about: dict[str, Any]
    rows: tuple[SavedRow, ...]
    kv_fills: SavedFills | None = None


_ADAPTER = TypeAdapter(SavedBench)


def read_bench(path: Path) -> SavedBench:
    """The result in `path`. InputError naming file and field, also where a row has no baseline to be held against."""
    found = read_record(path, SCHEMA, _ADAPTER)
    if not found.rows:
        raise InputError(str(path), "rows", "none", "at least one")
    by_policy = [(row, row.policy, BASELINE, found.rows) for row in found.rows]
    if found.kv_fills is not None:
        by_policy += [(row, row.fill, found.kv_fills.against, found.kv_fills.rows) for row in found.kv_fills.rows]
    for row, name, base, rows in by_policy:
        others = [other for other in rows if other.case == row.case and (other.fill or other.policy) == base]
        if not row.rounds or len(others) != 1 or len(others[0].rounds) != len(row.rounds):
            raise InputError(str(path), f"rows: {name} at {row.case}", f"{len(row.rounds)} rounds",
                             f"rounds, and one row {base} with as many")
    return found


def ratios(row: SavedRow, rows: tuple[SavedRow, ...], base: str) -> tuple[float, ...]:
    """Throughput of each round / that of `base` (a policy, or a fill) in the same round, at the same exit rate."""
    other = next(each for each in rows if each.case == row.case and (each.fill or each.policy) == base)
    return tuple(one.tokens_per_second / two.tokens_per_second
                 for one, two in zip(row.rounds, other.rounds, strict=True))
