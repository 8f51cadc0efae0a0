"""Quantised profiles: costs in whole multiples of a coarser quantum, rounded up, for solvers that need small numbers.

Source: scheduling model (normative): MILP and SMT work on an explicitly quantised profile and are replayed on it.
Costs stay in the profile's tick, as multiples of the quantum: parameters of policies that are times keep their meaning.
Terms divide comparisons by what all costs share; `unit` is that divisor.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import gcd

from drex_runtime.errors import RecordError
from drex_runtime.records.profile import CostProfile, LinearCost, PrefillCost, SegmentCost


def quantised(profile: CostProfile, quantum: int, rows: int) -> CostProfile:
    """`profile` with every cost rounded up to a multiple of `quantum` ticks, for launches of 1..`rows` rows.

    A segment's cost per row is folded into one bucket per batch size before it is rounded, so that it is rounded once;
    costs per row of ramps and fill, and per context token, are rounded themselves. RecordError for a quantum below 1 or
    rows that the profile does not cover.
    """
    if quantum < 1:
        raise RecordError("quantised profile", "quantum", quantum, "1 tick or more")
    if not 1 <= rows <= profile.max_rows:
        raise RecordError("quantised profile", "rows", rows, f"1 to {profile.max_rows}, what {profile.name} covers")
    if quantum == 1:
        return profile

    def up(cost: int) -> int:
        return -(-cost // quantum) * quantum

    def linear(cost: LinearCost) -> LinearCost:
        return LinearCost(up(cost.fixed), up(cost.per_row))

    sizes = tuple(range(1, rows + 1))
    segments = tuple(
        SegmentCost(tuple(up(profile.segment_cost(s, size, 0)) for size in sizes), 0, up(segment.per_context))
        for s, segment in enumerate(profile.segments, start=1))
    prefill = profile.prefill
    note = f"quantised: multiples of {quantum} {profile.tick}, rounded up, 1..{rows} rows"
    meta = replace(profile.meta, note="; ".join(filter(None, (profile.meta.note, note))), raw=())
    return replace(profile, buckets=sizes, segments=segments, ramps=tuple(map(linear, profile.ramps)),
                   starts=tuple(map(up, profile.starts)), rebatch=up(profile.rebatch), kv_fill=linear(profile.kv_fill),
                   prefill=PrefillCost(up(prefill.fixed), up(prefill.per_token), up(prefill.per_pair)), meta=meta)


def unit(profile: CostProfile) -> int:
    """What all costs share: their greatest common divisor, in ticks."""
    return gcd(*costs(profile))


def costs(profile: CostProfile) -> list[int]:
    """Every number of the profile that is a cost."""
    linear = (*profile.ramps, profile.kv_fill)
    return [*(cost for segment in profile.segments for cost in (*segment.fixed, segment.per_row, segment.per_context)),
            *(cost for each in linear for cost in (each.fixed, each.per_row)), *profile.starts, profile.rebatch,
            profile.prefill.fixed, profile.prefill.per_token, profile.prefill.per_pair]


def rounding_error(profile: CostProfile, rounded: CostProfile, context: int) -> Fraction:
    """Largest relative error of a full pass, over all batch sizes that `rounded` covers, at `context` tokens in all."""
    def full(costs: CostProfile, rows: int) -> int:
        return sum(costs.segment_cost(s, rows, context) for s in range(1, costs.num_segments + 1))

    return max(Fraction(full(rounded, rows), full(profile, rows)) - 1 for rows in range(1, rounded.max_rows + 1))
