"""First fit against optimal packing, in one or more dimensions, on whole numbers (scale fractions up).

Balls come in order; each goes into the first bin that still holds it in every dimension, bins being opened in order.
First-fit-decreasing takes larger balls first. Edges of the flows: (ball, bin), as in ("ball 0", "bin 1").
`packing_network` defines both sides; these are their fast evaluations. Source: XPlain (HotNets 2024).
"""

from __future__ import annotations

from math import prod

from xplain.flow.balls import Packing, Sizes, check_balls, edge, edges, flows, num_bins
from xplain.flow.packing import MAX_CERTAIN, certain_edges, optimal_packing

__all__ = ["MAX_CERTAIN", "Packing", "Sizes", "certain_edges", "check_balls", "edge", "edges", "first_fit", "flows",
           "num_bins", "optimal_packing", "placing_order"]


def first_fit(sizes: Sizes, capacity: tuple[int, ...], *, decreasing: bool = False) -> Packing:
    """The bin of each ball (in the order given, also with `decreasing`). Raises InputError."""
    check_balls(sizes, capacity)
    free, chosen = list[list[int]](), [0] * len(sizes)
    for ball in placing_order(sizes, capacity, decreasing=decreasing):
        size = sizes[ball]
        bin_ = next((at for at, left in enumerate(free)
                     if all(each <= room for each, room in zip(size, left, strict=True))), len(free))
        if bin_ == len(free):
            free.append(list(capacity))
        free[bin_] = [room - each for each, room in zip(size, free[bin_], strict=True)]
        chosen[ball] = bin_
    return tuple(chosen)


def placing_order(sizes: Sizes, capacity: tuple[int, ...], *, decreasing: bool) -> tuple[int, ...]:
    """In which order balls are placed. Decreasing: by the sum over dimensions of size / capacity, ties as given."""
    if not decreasing:
        return tuple(range(len(sizes)))
    whole = prod(capacity)  # a common denominator
    volume = [sum(each * (whole // room) for each, room in zip(size, capacity, strict=True)) for size in sizes]
    return tuple(sorted(range(len(sizes)), key=lambda ball: -volume[ball]))
