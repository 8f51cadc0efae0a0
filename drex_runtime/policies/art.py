"""ART, the adaptive rebatching threshold: is splitting at a ramp worth a second pass?

Deferring b - b' rows costs t_d * (b - b')/b of a deep pass, so a split wins iff
t_s + t_d * (b - b')/b < t_f, that is b' > (c / t_d) * b with c = t_s + t_d - t_f = start + rebatch.
Source: scheduling model, ART; published numbers t_f, t_s, t_d = 52.06, 28.63, 42.83 ms give 3.6 at b = 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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
