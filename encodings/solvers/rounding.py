"""From a solver's doubles to the integers they mean, each rounded to the side on which nothing is claimed too much."""

from __future__ import annotations

from math import ceil, floor, isfinite

from xplain.encodings.solvers.linear import Linear

RELATIVE, MOST = 1e-6, 0.25  # objective values are integers: within a quarter of one, a bound means it


def integer_bound(linear: Linear, bound: float) -> int | None:
    """The bound on the (integer) objective that a floating-point bound proves; None of an infinite one.

    A bound a little beyond an integer is that integer: solvers prove 11.9999999 where 12 is attained.
    """
    if not isfinite(bound) or abs(bound) >= 2**52:
        return None
    slack = min(MOST, RELATIVE * max(1.0, abs(bound)))
    return floor(bound + slack) if linear.maximize else ceil(bound - slack)
