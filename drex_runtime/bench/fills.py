"""The second table: KV fills under one policy at equal pool bytes, where memory and not places limits who is in flight.

`share` owns nothing for the layers that a token skipped, the others a cell per layer: in the same pool more requests
are in flight under `share`, and fewer are preempted. Throughput is compared in interleaved rounds, as policies are.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from drex_runtime.bench.compare import Case, Row, Tell, compare
from drex_runtime.bench.drive import Contestant, Entry
from drex_runtime.bench.metrics import Slo
from drex_runtime.bench.occupancy import Occupancy
from drex_runtime.bench.pool_size import PoolSize
from drex_runtime.errors import InputError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.model import EarlyExitLlama
from drex_runtime.records import CostProfile, ServerConfig


@dataclass(frozen=True)
class FillRow:
    """One fill on one case: `timed` has its rounds (ratios to the last fill named), `occupancy` is of a further run."""

    fill: str
    policy: str
    timed: Row
    occupancy: Occupancy

    @property
    def preemptions(self) -> float:
        """Per run, mean over rounds."""
        return fmean(item.counts["preemptions"] for item in self.timed.rounds)

    def as_json(self) -> dict[str, Any]:
        """Plain data: every round in full."""
        return {**self.timed.as_json(), "policy": self.policy, "fill": self.fill, "preemptions": self.preemptions,
                "occupancy": self.occupancy.as_json()}


@dataclass(frozen=True)
class FillComparison:
    """All rows and the pool they share; `against` is the fill that the ratios are to."""

    policy: str
    pool: PoolSize
    against: str
    rows: tuple[FillRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"policy": self.policy, "against": self.against, "pool_bytes": self.pool.bytes,
                "pool_sequences": self.pool.sequences, "pool_tokens": self.pool.tokens,
                "block_cells": self.pool.block_cells, "rows": [row.as_json() for row in self.rows]}


def parse_fills(text: str) -> tuple[str, ...]:
    """`share,propagate`: two or more fills of the engine, each once. InputError otherwise."""
    found = tuple(part.strip() for part in text.split(","))
    for fill in found:
        KVConfig(1, fill=fill)  # type: ignore[arg-type]  # that is what is checked
    if len(found) < 2 or len(set(found)) != len(found):
        raise InputError("drex bench", "--kv-fills", text, "two or more different fills, separated by commas, such "
                         "as share,propagate")
    return found


def compare_fills(entry: Entry, model: EarlyExitLlama, config: ServerConfig, cases: Items[Case], fills: Items[str],
                  pool: PoolSize, *, slo: Slo, rounds: int, seed: int, max_concurrency: int | None = None,
                  stay: str = "commit", profile: CostProfile | None = None,
                  tell: Tell = lambda _: None) -> FillComparison:
    """Every fill on every case with a pool of the same bytes, under one policy. Ratios are to the last fill."""
    last_first = (fills[-1], *fills[:-1])  # `compare` takes its first contestant as the baseline
    contestants = {fill: Contestant(Entry(fill, entry.policy, entry.settings), model, config, profile=profile,
                                    max_model_len=pool.tokens, kv=pool.config(fill), stay=stay) for fill in last_first}
    timed = compare(list(contestants.values()), cases, slo, rounds=rounds, seed=seed, max_concurrency=max_concurrency,
                    tell=lambda text: tell(f"KV fills, {text}"))
    by_place = {(row.case, row.policy): row for row in timed}
    rows = [FillRow(fill, entry.name, by_place[case.label, fill],
                    contestants[fill].occupancy(case.workload, seed, max_concurrency))
            for case in cases for fill in fills]
    return FillComparison(entry.name, pool, fills[-1], tuple(rows))
