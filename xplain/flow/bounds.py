"""What rows imply for the flows in them: interval propagation, for big-M that are as small as the network allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from xplain.flow.rules import Quantity, Terms

if TYPE_CHECKING:
    from xplain.flow.system import Row

Box: TypeAlias = tuple[float, float]
ROUNDS = 30  # bounds may creep forever around a loop; what has not settled by then stays as it is
PROGRESS = 1e-6  # relative; smaller steps are creeping or rounding


def reach(terms: Terms, boxes: Mapping[Quantity, Box]) -> Box:
    """Least and largest value of `terms`."""
    low = high = 0.0
    for key, factor in terms.items():
        if factor:
            ends = (float(factor) * boxes[key][0], float(factor) * boxes[key][1])
            low, high = low + min(ends), high + max(ends)
    return low, high


def propagate(boxes: Mapping[Quantity, Box], rows: Iterable[Row]) -> dict[Quantity, Box]:
    """Bounds that every solution of the rows respects, at most as wide as `boxes`.

    A contradiction is left as it is found (lower > upper is never returned): the solver says infeasible.
    """
    found, listed = dict(boxes), [each for each in rows if each.terms]
    for _ in range(ROUNDS):
        moved = False
        for each in listed:
            if each.relation != ">=":
                moved |= _tighten(found, each.terms, float(each.rhs))
            if each.relation != "<=":
                moved |= _tighten(found, {key: -factor for key, factor in each.terms.items()}, -float(each.rhs))
        if not moved:
            break
    return found


def _tighten(found: dict[Quantity, Box], terms: Terms, rhs: float) -> bool:
    """Use terms <= rhs: each term is at most rhs minus the least of the others."""
    least = {key: min(float(factor) * found[key][0], float(factor) * found[key][1]) for key, factor in terms.items()}
    infinite = [key for key, value in least.items() if math.isinf(value)]
    if len(infinite) > 1:
        return False
    total, moved = sum(value for value in least.values() if math.isfinite(value)), False
    for key in infinite or list(terms):
        factor = float(terms[key])
        most = (rhs - (total - (0.0 if infinite else least[key]))) / factor
        low, high = found[key]
        if factor > 0 and most < high - PROGRESS * max(1.0, abs(most)) and most >= low:
            found[key], moved = (low, most), True
        elif factor < 0 and most > low + PROGRESS * max(1.0, abs(most)) and most <= high:
            found[key], moved = (most, high), True
    return moved
