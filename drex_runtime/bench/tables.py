"""The tables that `drex bench` prints: lines of text that are also valid Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Items
from math import ceil

from drex_runtime.bench.compare import BASELINE, Row, best_rows
from drex_runtime.bench.fills import FillComparison
from drex_runtime.bench.interval import LEVEL, MedianInterval, median_interval, rounds_needed
from drex_runtime.bench.metrics import FORMULAS
from drex_runtime.bench.quality import Quality
from drex_runtime.bench.reference import ReferenceRow
from drex_runtime.bench.result import BenchResult

FORWARD = ("segment", "ramp", "prefill", "recompute")
SHORT_RUN = 1.0  # seconds; below, a pause of the machine weighs as much as what is compared


def tables(result: BenchResult) -> Iterator[str]:
    """Everything that was found, in order."""
    yield "| exit rate | policy | tokens/s | ratio to no-exit (min-max) | interval of the median | by CPU time " \
          "| TTFT p50 ms | TPOT p50 ms | ITL p99 ms | E2E p50 ms | goodput/s | attained | dropped | completed " \
          "| forced exits | stays | load |"
    yield "|" + "---|" * 17
    for row in result.rows:
        first = row.rounds[0].metrics
        yield (f"| {row.case} | {row.policy} | {row.tokens_per_second:.0f} | {_spread(row)} "
               f"| {interval_text(row.interval)} | {row.cpu_ratio:.3f} "
               f"| {row.latency('ttft'):.1f} | {row.latency('tpot'):.2f} "
               f"| {row.latency('itl', 'p99'):.1f} | {row.latency('e2e'):.0f} | {first.goodput:.2f} "
               f"| {first.attainment:.0%} | {first.dropped} | {first.completion_rate:.0%} "
               f"| {row.count('involuntary_exits')} | {row.count('involuntary_stays')} "
               f"| {_load(row)} |")
    forcing = {row.policy for row in result.rows if row.count("involuntary_exits")}
    best = best_rows([row for row in result.rows if row.policy not in forcing])
    if best:
        yield ""
        yield f"best policy other than {BASELINE} that forced no exit: " + "; ".join(
            f"{row.case}: {row.policy} {row.ratio:.3f}{'' if row.interval.excludes(1) else ' (1 not excluded)'}"
            for row in best)
    yield ""
    yield from _precision(result.rows, int(result.about["num_prompts"]))
    yield FORMULAS
    if result.fills is not None:
        yield from _fills(result.fills)
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


def interval_text(interval: MedianInterval) -> str:
    """`0.951-1.004`; `-` where one round says nothing about others."""
    return f"{interval.low:.3f}-{interval.high:.3f}" if interval.level else "-"


def level_text(rounds: int) -> str:
    """What the intervals of so many rounds mean, and whether more rounds are needed for the usual level."""
    level = median_interval([1.0] * rounds).level
    if not level:
        return "interval of the median: one round gives none"
    few = "" if level >= LEVEL else (f": the widest that {rounds} rounds give; {LEVEL:.0%} needs {rounds_needed()} or "
                                     "more")
    return f"interval of the median: order statistics of {rounds} rounds, level {level:.1%}{few}"


def _precision(rows: Items[Row], num_prompts: int) -> Iterator[str]:
    """How well the ratios are known, and what would make them better known."""
    yield level_text(len(rows[0].rounds))
    shortest = min(rows, key=lambda row: row.seconds)
    if shortest.seconds < SHORT_RUN:
        longer = ceil(num_prompts * SHORT_RUN / shortest.seconds)
        yield (f"WARNING: the shortest runs last {shortest.seconds:.2f} s ({shortest.policy} at {shortest.case}): "
               f"their ratios vary; about --num-prompts {longer} lasts {SHORT_RUN:.0f} s")


def _spread(row: Row) -> str:
    return f"{row.ratio:.3f} ({min(row.ratios):.3f}-{max(row.ratios):.3f})"


def _load(row: Row) -> str:
    """Whether the engine kept up, and whether memory interfered: then the runs are not those of the model."""
    first = row.rounds[0].metrics
    said = "burst" if first.offered is None else "saturated" if first.saturated else "keeps up"
    evicted = sum(item.counts.get("preemptions", 0) for item in row.rounds)
    return f"{said}, {evicted} preempted" if evicted else said


def _fills(found: FillComparison) -> Iterator[str]:
    yield ""
    yield (f"KV fills at equal pool bytes: {found.pool.bytes} bytes (room for {found.pool.sequences} requests of "
           f"{found.pool.tokens} tokens at full depth, superblocks of {found.pool.block_cells} cells), policy "
           f"{found.policy}, same workloads; one further run each "
           f"for what is in flight, mean over steps")
    yield (f"| exit rate | KV fill | requests in flight | most | preempted per run | tokens/s "
           f"| ratio to {found.against} (min-max) | interval of the median | by CPU time | cells per token "
           f"| bytes saved |")
    yield "|" + "---|" * 11
    for row in found.rows:
        held, timed = row.occupancy, row.timed
        yield (f"| {timed.case} | {row.fill} | {held.mean_in_flight:.2f} | {held.most_in_flight} "
               f"| {row.preemptions:.1f} | {timed.tokens_per_second:.0f} | {_spread(timed)} "
               f"| {interval_text(timed.interval)} | {timed.cpu_ratio:.3f} | {held.cells_per_token:.2f} "
               f"| {held.bytes_saved:.0f} |")


def _quality(rows: Items[Quality]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "| policy | exit rate (own thresholds) | agreement with full depth | P95 confidence | forced exits | stays " \
          "| drifted |"
    yield "|" + "---|" * 7
    for row in rows:
        p95 = "-" if row.p95_confidence is None else f"{row.p95_confidence:.3f}"
        yield (f"| {row.policy} | {row.exit_rate:.1%} | {row.agreement:.1%} | {p95} | {row.involuntary_exits} "
               f"| {row.involuntary_stays} | {row.drifted_tokens} |")


def _reference(rows: Items[ReferenceRow]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "| batch | no-exit tokens/s | transformers tokens/s | ratio (min-max) | interval of the median |"
    yield "|" + "---|" * 5
    for row in rows:
        yield (f"| {row.batch} | {row.ours:.0f} | {row.theirs:.0f} | {row.ratio:.2f} "
               f"({row.ratio_min:.2f}-{row.ratio_max:.2f}) | {interval_text(row.interval)} |")
