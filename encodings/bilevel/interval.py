"""Interval arithmetic in exact fractions, rounded outwards at the end: what proofs are computed with."""

from __future__ import annotations

import math
from fractions import Fraction

from xplain.encodings.bilevel.follower import Array

LARGEST = 1.7976931348623157e308


def dot_range(a_low: Array, a_high: Array, z_low: Array, z_high: Array,
              constant: Fraction | float = 0) -> tuple[float, float]:
    """Floats that enclose constant + a'z for all a in a_low..a_high and z in z_low..z_high.

    z may be unbounded (0 * inf is 0 then), a may not.
    """
    low, high = Fraction(constant), Fraction(constant)
    low_infinite = high_infinite = False
    for *factors, z_least, z_most in zip(a_low.tolist(), a_high.tolist(), z_low.tolist(), z_high.tolist(), strict=True):
        ends = [_product(factor, z) for factor in factors for z in (z_least, z_most)]
        least, most = min(ends), max(ends)
        low_infinite |= least == -math.inf
        high_infinite |= most == math.inf
        low += least if isinstance(least, Fraction) else 0
        high += most if isinstance(most, Fraction) else 0
    return -math.inf if low_infinite else -rounded_up(-low), math.inf if high_infinite else rounded_up(high)


def reach(factors: Array, low: Array, high: Array, constant: Fraction | float = 0) -> tuple[float, float]:
    """Floats that enclose constant + factors'z for z in low..high."""
    return dot_range(factors, factors, low, high, constant)


def rounded_up(exact: Fraction) -> float:
    """The least float that is >= exact (inf beyond the range)."""
    if abs(exact) > LARGEST:
        return math.inf if exact > 0 else -LARGEST
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


def _product(factor: float, z: float) -> Fraction | float:
    if not factor or not z:
        return Fraction(0)
    return Fraction(factor) * Fraction(z) if math.isfinite(z) else factor * z
