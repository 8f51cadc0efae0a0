"""Interleaved rounds: every contestant once a round, in a shuffled order, so that drift of the machine hits all alike.

Ratios are taken within a round; a table shows their median with the smallest and largest, and an interval for it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any

from drex_runtime.bench.drive import Contestant, RunResult
from drex_runtime.bench.interval import MedianInterval, median_interval
from drex_runtime.bench.metrics import Slo
from drex_runtime.records import Workload

BASELINE = "no-exit"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """A workload under the label of its rows; `exit_rate` of its decoded tokens."""

    label: str
    exit_rate: float
    workload: Workload


@dataclass(frozen=True)
class Row:
    """All rounds of one policy on one case; `ratios` to the baseline of the same round."""

    case: str
    exit_rate: float
    policy: str
    rounds: tuple[RunResult, ...]
    ratios: tuple[float, ...]
    cpu_ratios: tuple[float, ...]

    @property
    def tokens_per_second(self) -> float:
        """Median over rounds."""
        return median(item.metrics.tokens_per_second for item in self.rounds)

    @property
    def ratio(self) -> float:
        """Median over rounds of throughput / baseline throughput."""
        return median(self.ratios)

    @property
    def cpu_ratio(self) -> float:
        """The same by CPU time."""
        return median(self.cpu_ratios)

    @property
    def interval(self) -> MedianInterval:
        """How well `ratio` is known."""
        return median_interval(self.ratios)

    @property
    def seconds(self) -> float:
        """How long a run lasted, median over rounds."""
        return median(item.metrics.seconds for item in self.rounds)

    def latency(self, name: str, which: str = "p50") -> float:
        """Median over rounds of a latency (ttft, tpot, itl, e2e) in ms."""
        return median(float(getattr(getattr(item.metrics, name), which)) for item in self.rounds)

    def count(self, name: str) -> int:
        """A counter of the engine in the first round."""
        return self.rounds[0].counts[name]

    def as_json(self) -> dict[str, Any]:
        """Plain data: every round in full."""
        return {"case": self.case, "exit_rate": self.exit_rate, "policy": self.policy,
                "tokens_per_second": self.tokens_per_second,
                "ratio": _spread(self.ratios), "cpu_ratio": _spread(self.cpu_ratios),
                "rounds": [{**item.metrics.as_json(), "counts": dict(item.counts),
                            "cpu_seconds": item.cpu_seconds} for item in self.rounds]}


def _spread(ratios: Items[float]) -> dict[str, float]:
    interval = median_interval(ratios)
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios), "low": interval.low,
            "high": interval.high, "level": interval.level}


def compare(contestants: Items[Contestant], cases: Items[Case], slo: Slo, *, rounds: int, seed: int,
            max_concurrency: int | None = None, tell: Tell = lambda _: None) -> list[Row]:
    """Every contestant on every case, `rounds` times interleaved after a warm-up. The first is the baseline."""
    for contestant in contestants:
        tell(f"warming up {contestant.name}")
        contestant.run(cases[0].workload, slo, seed=seed, max_concurrency=max_concurrency)
    found: list[Row] = []
    order = Random(seed)
    for case in cases:
        results: dict[str, list[RunResult]] = {item.name: [] for item in contestants}
        for number in range(rounds):
            # A shuffled order per round: a rotated one would give each contestant one and the same predecessor, whose
            # caches and allocator state it would then always find.
            for contestant in order.sample(contestants, len(contestants)):
                tell(f"{case.label}: round {number + 1}/{rounds}, {contestant.name}")
                results[contestant.name].append(
                    contestant.run(case.workload, slo, seed=seed, max_concurrency=max_concurrency))
        base = results[contestants[0].name]
        for name, runs in results.items():
            ratios = tuple(one.metrics.tokens_per_second / other.metrics.tokens_per_second
                           for one, other in zip(runs, base, strict=True))
            by_cpu = tuple(one.tokens_per_cpu_second / other.tokens_per_cpu_second
                           for one, other in zip(runs, base, strict=True))
            found.append(Row(case.label, case.exit_rate, name, tuple(runs), ratios, by_cpu))
    return found


def best_rows(rows: Items[Row]) -> list[Row]:
    """Of each case, the row other than the baseline's with the best median ratio."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.policy != BASELINE and (row.case not in found or row.ratio > found[row.case].ratio):
            found[row.case] = row
    return list(found.values())
