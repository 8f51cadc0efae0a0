"""ART, the adaptive rebatching threshold: is splitting at a ramp worth a second pass?

Deferring b - b' rows costs t_d * (b - b')/b of a deep pass, so a split wins iff
t_s + t_d * (b - b')/b < t_f, that is b' > (c / t_d) * b with c = t_s + t_d - t_f = start + rebatch.
Source: scheduling model, ART; published numbers t_f, t_s, t_d = 52.06, 28.63, 42.83 ms give 3.6 at b = 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from drex_runtime.records.profile import CostProfile


@dataclass(frozen=True, slots=True)
class ArtTerms:
    """Times in ticks at one ramp and batch: shallow pass, deep pass on its own, full pass."""

    shallow: int
    deep: int
    full: int

    @property
    def overhead(self) -> int:
        """c = t_s + t_d - t_f."""
        return self.shallow + self.deep - self.full

    @property
    def factor(self) -> Fraction:
        """c / t_d: the share of rows that must exit for a split to pay."""
        return Fraction(self.overhead, self.deep)


def art_terms(profile: CostProfile, ramp: int, rows: int) -> ArtTerms:
    """t_s up to ramp r, t_d from segment r + 1 to the end, at `rows` rows of the reference context."""
    context = rows * profile.meta.reference_context
    segments = [profile.segment_cost(s, rows, context) for s in range(1, profile.num_segments + 1)]
    ramps = [profile.ramp_cost(r, rows) for r in range(1, profile.num_segments)]
    shallow = sum(segments[:ramp]) + sum(ramps[:ramp])
    rest = sum(segments[ramp:]) + sum(ramps[ramp:])
    return ArtTerms(shallow, profile.start_cost(ramp + 1) + rest + profile.rebatch, shallow + rest)


def deep_time(profile: CostProfile, pool: int, rows: int) -> int:
    """Predicted ticks of RUN(pool) to the LM head: start, segments, ramps at `rows` rows."""
    context = rows * profile.meta.reference_context
    segments = sum(profile.segment_cost(s, rows, context) for s in range(pool, profile.num_segments + 1))
    ramps = sum(profile.ramp_cost(r, rows) for r in range(pool, profile.num_segments))
    return profile.start_cost(pool) + segments + ramps


NEVER_PAYS = Fraction(10**6)  # rows; above every batch


def pass_time(profile: CostProfile, rows: int) -> int:
    """Ticks within which any launch but a prefill ends, at `rows` rows of the reference context: the dearest start,
    all segments and ramps, KV fill, rebatch. A buffer must be run this much before its deep time, at the latest."""
    starts = max(profile.starts, default=0)
    return starts + deep_time(profile, 1, rows) + profile.fill_cost(rows) + profile.rebatch


def park_time(profile: CostProfile, ramp: int, rows: int) -> int:
    """Ticks from ramp r to the LM head for a row that is parked there and run next: KV fill of those that leave,
    rebatch, start, the rest of the pass, all at `rows` rows of the reference context."""
    return profile.fill_cost(rows) + profile.rebatch + deep_time(profile, ramp + 1, rows)


def break_even(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """Rows that must exit for a split to pay when the others run on at once: (start + rebatch + fill) / what a row
    costs deeper, rounded up to thousandths; NEVER_PAYS if rows cost nothing there.

    Full passes cost a + beta*b; leaving saves beta only, since the deep pass runs anyway (scheduling model, What
    theory says at equal N). ART instead shares out the whole deep pass, which holds if buffers fill up.
    """
    return _rows(profile.start_cost(ramp + 1) + profile.rebatch + profile.kv_fill.fixed, profile, ramp, rows)


def toll(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """Rows that must exit to pay for consulting the ramp, as `break_even`."""
    return _rows(profile.ramp_cost(ramp, rows), profile, ramp, rows)


def pass_rows(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """What a batch that leaves whole saves beyond its rows: the fixed part of the pass that would have gone on, and the
    second pass that is not needed, in rows as `break_even`."""
    one, many = deep_time(profile, ramp + 1, 1), deep_time(profile, ramp + 1, rows)
    fixed = max(Fraction(0), many - Fraction(rows * (many - one), max(1, rows - 1)))  # at 0 rows; start included
    return _rows(floor(fixed) + profile.rebatch, profile, ramp, rows)


def doubt(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """What the profile cannot tell of a full pass (its fit error), in rows as `break_even`; 0 where it states none."""
    error = Fraction(profile.meta.fit_error or 0).limit_denominator(10**6)
    return _rows(ceil(error * art_terms(profile, ramp, rows).full), profile, ramp, rows)


def empty_share(profile: CostProfile, ramp: int, rows: int) -> Fraction:
    """Share of consults at which the whole batch must leave to pay for consulting: ramp / what is left of the pass,
    rounded up to thousandths. Above 1 if an emptied batch saves less than the ramp costs."""
    saved = deep_time(profile, ramp + 1, rows) - profile.start_cost(ramp + 1) - profile.fill_cost(rows)
    if saved <= 0:
        return Fraction(2)
    return min(Fraction(2), Fraction(ceil(1000 * Fraction(profile.ramp_cost(ramp, rows), saved)), 1000))


def _rows(ticks: int, profile: CostProfile, ramp: int, rows: int) -> Fraction:
    if rows < 2:  # a batch of one row is never split
        return NEVER_PAYS
    deeper = deep_time(profile, ramp + 1, rows) - deep_time(profile, ramp + 1, 1) - profile.kv_fill.per_row * (rows - 1)
    return NEVER_PAYS if deeper <= 0 else min(NEVER_PAYS, Fraction(ceil(1000 * ticks * (rows - 1) / Fraction(deeper)),
                                                                   1000))
