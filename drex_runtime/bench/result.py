"""What `drex bench` found: one versioned JSON object, and the tables it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drex_runtime.bench.compare import BASELINE, Row, best_ratios
from drex_runtime.bench.metrics import FORMULAS
from drex_runtime.bench.quality import Quality
from drex_runtime.bench.reference import ReferenceRow
from drex_runtime.records.files import write_atomic

SCHEMA = "drex-bench/1"
FORWARD = ("segment", "ramp", "prefill", "recompute")


@dataclass(frozen=True)
class BenchResult:
    """`about`: command, model, device, resources, seed, date, threads. `parts`: seconds per part, by policy."""

    about: Mapping[str, Any]
    rows: tuple[Row, ...]
    parts: Mapping[str, Mapping[str, float]]
    quality: tuple[Quality, ...] = ()
    reference: tuple[ReferenceRow, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Schema drex-bench/1."""
        return {"schema": SCHEMA, "about": dict(self.about), "formulas": FORMULAS, "notes": list(self.notes),
                "rows": [row.as_json() for row in self.rows], "seconds_by_part": {k: dict(v) for k, v in
                                                                                   self.parts.items()},
                "quality": [item.as_json() for item in self.quality],
                "reference": [item.as_json() for item in self.reference]}

    def save(self, path: Path) -> None:
        """Write the JSON file. InputError if that fails."""
        write_atomic(path, json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")


def tables(result: BenchResult) -> Iterator[str]:
    """Lines of text (also valid Markdown)."""
    yield "| exit rate | policy | tokens/s | ratio to no-exit (min-max) | by CPU time | TTFT p50 ms | TPOT p50 ms | " \
          "ITL p99 ms | E2E p50 ms | goodput/s | attained | dropped | completed | forced exits | stays | load |"
    yield "|" + "---|" * 16
    for row in result.rows:
        first = row.rounds[0].metrics
        yield (f"| {row.case} | {row.policy} | {row.tokens_per_second:.0f} | {row.ratio:.3f} "
               f"({min(row.ratios):.3f}-{max(row.ratios):.3f}) | {row.cpu_ratio:.3f} "
               f"| {row.latency('ttft'):.1f} | {row.latency('tpot'):.2f} "
               f"| {row.latency('itl', 'p99'):.1f} | {row.latency('e2e'):.0f} | {first.goodput:.2f} "
               f"| {first.attainment:.0%} | {first.dropped} | {first.completion_rate:.0%} "
               f"| {row.count('involuntary_exits')} | {row.count('involuntary_stays')} "
               f"| {_load(row)} |")
    forcing = {row.policy for row in result.rows if row.count("involuntary_exits")}
    best = best_ratios([row for row in result.rows if row.policy not in forcing])
    if best:
        yield ""
        yield f"best policy other than {BASELINE} that forced no exit: " + "; ".join(
            f"{case}: {name} {ratio:.3f}" for case, (name, ratio) in best.items())
    yield ""
    yield FORMULAS
    yield from _quality(result.quality)
    yield from _reference(result.reference)
    yield ""
    yield "share of a run's time by part (one further run each, not counted above):"
    for name, parts in result.parts.items():
        total = sum(parts.values()) or 1.0
        listed = ", ".join(f"{part} {spent / total:.0%}" for part, spent in sorted(parts.items(), key=lambda p: -p[1]))
        rest = 1 - sum(parts.get(part, 0.0) for part in FORWARD) / total
        warning = " WARNING: more time is spent outside the model than in it" if rest > 0.5 else ""
        yield f"  {name}: {listed}; outside the model {rest:.0%}{warning}"
    yield from result.notes


def _load(row: Row) -> str:
    """Whether the engine kept up, and whether memory interfered: then the runs are not those of the model."""
    first = row.rounds[0].metrics
    said = "burst" if first.offered is None else "saturated" if first.saturated else "keeps up"
    evicted = sum(item.counts.get("preemptions", 0) for item in row.rounds)
    return f"{said}, {evicted} preempted" if evicted else said


def _quality(rows: Items[Quality]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "| policy | exit rate (own thresholds) | agreement with full depth | P95 confidence | forced exits | stays |"
    yield "|" + "---|" * 6
    for row in rows:
        p95 = "-" if row.p95_confidence is None else f"{row.p95_confidence:.3f}"
        yield (f"| {row.policy} | {row.exit_rate:.1%} | {row.agreement:.1%} | {p95} | {row.involuntary_exits} "
               f"| {row.involuntary_stays} |")


def _reference(rows: Items[ReferenceRow]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "| batch | no-exit tokens/s | transformers tokens/s | ratio (min-max) |"
    yield "|" + "---|" * 4
    for row in rows:
        yield (f"| {row.batch} | {row.ours:.0f} | {row.theirs:.0f} | {row.ratio:.2f} "
               f"({row.ratio_min:.2f}-{row.ratio_max:.2f}) |")
