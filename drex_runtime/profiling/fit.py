"""From timed points to a CostProfile: medians, non-negative slopes, costs that never decrease with b.

A segment's cost is fixed[bucket] + per_row * b + per_context * sum(ctx): slopes by non-negative least squares over
all its points, then one fixed value per measured batch size from the median residual there.

`kv_fill` has one price for all ramps: the mean of what was measured at each, as if exits spread evenly over them. An
engine that propagates pays more than that at early ramps and less at late ones; the points by ramp stay in `meta.raw`
("fill 1", "fill 2", ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean, median

import numpy as np
import torch
from scipy.optimize import nnls

from drex_runtime.profiling.device import device_name
from drex_runtime.profiling.measure import Plan, Point
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, ProfileMeta, SegmentCost


def fit_profile(points: Sequence[Point], plan: Plan, *, name: str, model: str, num_segments: int, dtype: str,
                rounds: int) -> CostProfile:
    """The profile in ns. `meta.fit_error` is the median relative error over the medians of all points."""
    medians = condensed(points)
    segments = tuple(_segment(medians, plan.batches, s) for s in range(1, num_segments + 1))
    ramps = tuple(_linear([p for p in medians if p.kind == "ramp" and p.segment == r]) for r in range(1, num_segments))
    starts = tuple(_middle([p for p in medians if p.kind == "start" and p.segment == s])
                   for s in range(2, num_segments + 1))
    profile = CostProfile(name, plan.batches, segments, ramps, starts,
                          _middle([p for p in medians if p.kind == "rebatch"]),
                          _linear(_over_ramps([p for p in medians if p.kind == "fill"])),
                          _prefill([p for p in medians if p.kind == "prefill"]))
    errors = [abs(predicted(profile, point) - point.ns) / point.ns for point in medians if point.ns]
    meta = ProfileMeta(
        "measured", device_name(), model, dtype, datetime.now(UTC).isoformat(timespec="seconds"),
        f"drex profile: {len(points)} timings in {rounds} interleaved rounds, medians; non-negative least "
        f"squares; torch {torch.__version__}, {torch.get_num_threads()} threads",
        "decision and set-up time are part of segment 1 and start; handing out tokens is part of the last segment "
        "and kv_fill, which is the mean over the ramps measured", plan.contexts[len(plan.contexts) // 2],
        max(plan.contexts), round(median(errors), 4), None,
        tuple((f"{p.kind} {p.segment}" if p.segment else p.kind, p.rows, p.context, p.ns) for p in medians),
        plan.kv_fill)
    return CostProfile(profile.name, profile.buckets, profile.segments, profile.ramps, profile.starts, profile.rebatch,
                       profile.kv_fill, profile.prefill, "ns", meta)


def condensed(points: Sequence[Point]) -> list[Point]:
    """The median of the points of each (kind, segment, rows, context)."""
    groups: dict[tuple[str, int, int, int], list[int]] = {}
    for point in points:
        groups.setdefault((point.kind, point.segment, point.rows, point.context), []).append(point.ns)
    return [Point(*key, round(median(times))) for key, times in sorted(groups.items())]


def predicted(profile: CostProfile, point: Point) -> int:
    """What the profile says for a point."""
    match point.kind:
        case "segment":
            return profile.segment_cost(point.segment, point.rows, point.context)
        case "ramp":
            return profile.ramp_cost(point.segment, point.rows)
        case "start":
            return profile.start_cost(point.segment)
        case "rebatch":
            return profile.rebatch
        case "fill":
            return profile.fill_cost(point.rows)
    return profile.prefill_cost(point.rows, point.context)


def _segment(points: Sequence[Point], batches: Sequence[int], segment: int) -> SegmentCost:
    chosen = [point for point in points if point.kind == "segment" and point.segment == segment]
    # Relative errors count: 1 % of a small batch's cost matters as much as 1 % of a large one's.
    slopes = _slopes([(1, p.rows, p.context) for p in chosen], [p.ns for p in chosen])
    per_row, per_context = int(slopes[1]), int(slopes[2])
    fixed: list[int] = []
    for batch in batches:
        rest = [p.ns - per_row * p.rows - per_context * p.context for p in chosen if p.rows == batch]
        least = fixed[-1] - per_row if fixed else 1
        fixed.append(round(max(0, least, median(rest) if rest else least)))
    return SegmentCost(tuple(fixed), per_row, per_context)


def _linear(points: Sequence[Point]) -> LinearCost:
    if not points:
        return LinearCost()
    fixed, per_row = _slopes([(1, p.rows) for p in points], [p.ns for p in points])
    return LinearCost(round(fixed), round(per_row))


def _prefill(points: Sequence[Point]) -> PrefillCost:
    fixed, per_token, per_pair = _slopes([(1, p.rows, p.context) for p in points], [p.ns for p in points])
    return PrefillCost(round(fixed), round(per_token), round(per_pair))


def _over_ramps(points: Sequence[Point]) -> list[Point]:
    """One point per number of rows: the mean over ramps."""
    by_rows: dict[int, list[int]] = {}
    for point in points:
        by_rows.setdefault(point.rows, []).append(point.ns)
    return [Point("fill", 0, rows, 0, round(fmean(times))) for rows, times in by_rows.items()]


def _middle(points: Sequence[Point]) -> int:
    return round(median(point.ns for point in points)) if points else 0


def _slopes(rows: Sequence[Sequence[int]], values: Sequence[int]) -> list[float]:
    """Non-negative least squares of relative errors."""
    matrix, target = np.array(rows, float), np.array(values, float)
    weight = 1 / np.maximum(target, 1)
    solution, _ = nnls(matrix * weight[:, None], target * weight)
    return [float(value) for value in solution]
