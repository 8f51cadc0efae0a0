"""First fit against optimal packing, in one or more dimensions, on whole numbers (scale fractions up).

Balls come in order; each goes into the first bin that still holds it in every dimension, bins being opened in order.
First-fit-decreasing takes larger balls first. Edges of the flows: (ball, bin), as in ("ball 0", "bin 1").
Source: XPlain (HotNets 2024), vector bin packing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from drex_runtime.errors import InputError, LimitError
from xplain.problems.flows import Edge

Sizes = Sequence[tuple[int, ...]]
Packing = tuple[int, ...]  # the bin of each ball, from 0
MAX_CERTAIN = 10  # balls up to which all optimal packings are enumerated
MAX_STEPS = 5_000_000  # of one exact search


def first_fit(sizes: Sizes, capacity: tuple[int, ...], *, decreasing: bool = False) -> Packing:
    """The bin of each ball (in the order given, also with `decreasing`).

    Decreasing order: by the sum over dimensions of size / capacity, largest first, ties as given. Raises InputError.
    """
    check_balls(sizes, capacity)
    free, chosen = list[list[int]](), [0] * len(sizes)
    for ball in placing_order(sizes, capacity, decreasing=decreasing):
        for bin_, left in enumerate(free):
            if all(size <= room for size, room in zip(sizes[ball], left, strict=True)):
                break
        else:
            bin_, left = len(free), list(capacity)
            free.append(left)
        chosen[ball] = bin_
        for dimension, size in enumerate(sizes[ball]):
            left[dimension] -= size
    return tuple(chosen)


def placing_order(sizes: Sizes, capacity: tuple[int, ...], *, decreasing: bool) -> tuple[int, ...]:
    """In which order balls are placed."""
    if not decreasing:
        return tuple(range(len(sizes)))
    scale = 1
    for room in capacity:
        scale *= room
    volume = [sum(size * (scale // room) for size, room in zip(each, capacity, strict=True)) for each in sizes]
    return tuple(sorted(range(len(sizes)), key=lambda ball: -volume[ball]))  # stable: ties as given


def num_bins(packing: Packing) -> int:
    """How many bins are used."""
    return len(set(packing))


def optimal_packing(sizes: Sizes, capacity: tuple[int, ...], near: Sequence[int] | None = None) -> Packing:
    """A packing into the fewest bins, proved by exact search; of all these one that moves the fewest balls off `near`.

    Bins are all alike: names are chosen so that as many balls as possible keep theirs. Raises InputError, LimitError.
    """
    check_balls(sizes, capacity)
    wanted = None if near is None else _named(near, len(sizes))
    steps = _Steps()
    for count in range(_least_bins(sizes, capacity), len(sizes) + 1):
        found = next(_packings(sizes, capacity, count, steps), None)
        if found is not None:
            return found if wanted is None else _nearest(sizes, capacity, count, wanted, steps)
    return ()  # no balls


def certain_edges(sizes: Sizes, capacity: tuple[int, ...], heuristic: Sequence[int]) -> frozenset[Edge]:
    """Edges on which every optimal packing differs from the heuristic's, however its bins are best named.

    A naming of an optimal packing's bins is best if as many balls as possible are in the bin of that name in
    `heuristic`; without that any difference could be named away. Enumerates all optimal packings: LimitError beyond
    MAX_CERTAIN balls.
    """
    check_balls(sizes, capacity)
    if len(sizes) > MAX_CERTAIN:
        raise LimitError(f"first fit: certain edges are enumerated for at most {MAX_CERTAIN} balls, not {len(sizes)}")
    named = _named(heuristic, len(sizes))
    steps, differing = _Steps(), None
    count = num_bins(optimal_packing(sizes, capacity))
    for packing in _packings(sizes, capacity, count, steps):
        for renamed in _best_namings(packing, named):
            here = {edge(ball, bin_) for ball in range(len(sizes)) if renamed[ball] != named[ball]
                    for bin_ in (renamed[ball], named[ball])}
            differing = here if differing is None else differing & here
            if not differing:
                return frozenset()
    return frozenset(differing or ())


def edge(ball: int, bin_: int) -> Edge:
    """The edge of a ball in a bin."""
    return f"ball {ball}", f"bin {bin_}"


def edges(num_balls: int) -> tuple[Edge, ...]:
    """Every edge that can carry flow: as many bins as balls."""
    return tuple(edge(ball, bin_) for ball in range(num_balls) for bin_ in range(num_balls))


def flows(packing: Sequence[int]) -> dict[Edge, float]:
    """One unit of flow from each ball to its bin; edges left out carry nothing."""
    return {edge(ball, bin_): 1.0 for ball, bin_ in enumerate(packing)}


def check_balls(sizes: Sizes, capacity: tuple[int, ...]) -> None:
    """InputError for a capacity below 1, a size that is no whole number, below 0, of other dimensions or too large."""
    if not capacity or any(isinstance(room, bool) or not isinstance(room, int) or room < 1 for room in capacity):
        raise InputError("first fit", "capacity", capacity, "whole numbers of at least 1, one per dimension")
    for ball, size in enumerate(sizes):
        if len(size) != len(capacity):
            raise InputError("first fit", f"sizes.{ball}", size, f"{len(capacity)} numbers, one per dimension")
        for room, each in zip(capacity, size, strict=True):
            if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= room:
                raise InputError("first fit", f"sizes.{ball}", size, f"whole numbers within 0..capacity {capacity}")


class _Steps:
    """Counts the steps of an exact search against its limit."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        """One more. LimitError beyond MAX_STEPS."""
        self.taken += 1
        if self.taken > MAX_STEPS:
            raise LimitError(f"optimal packing: not proved within {MAX_STEPS} steps of exact search; use fewer balls")


def _least_bins(sizes: Sizes, capacity: tuple[int, ...]) -> int:
    """Volume bound in every dimension; one bin for balls without size."""
    volume = [-(-sum(size[k] for size in sizes) // room) for k, room in enumerate(capacity)]
    return max(volume, default=0) or min(len(sizes), 1)


def _packings(sizes: Sizes, capacity: tuple[int, ...], count: int, steps: _Steps) -> Iterator[Packing]:
    """Every packing into exactly `count` bins once, bins in the order of their first balls."""
    chosen, free = list[int](), list[list[int]]()
    total = len(sizes)

    def place(ball: int) -> Iterator[Packing]:
        steps.take()
        if ball == total:
            if len(free) == count:
                yield tuple(chosen)
            return
        if len(free) + total - ball < count:
            return
        for bin_ in range(min(len(free) + 1, count)):
            if bin_ == len(free):
                free.append(list(capacity))
            left = free[bin_]
            if all(size <= room for size, room in zip(sizes[ball], left, strict=True)):
                for k, size in enumerate(sizes[ball]):
                    left[k] -= size
                chosen.append(bin_)
                yield from place(ball + 1)
                chosen.pop()
                for k, size in enumerate(sizes[ball]):
                    left[k] += size
            if bin_ == len(free) - 1 and bin_ not in chosen:
                free.pop()

    yield from place(0)


def _nearest(sizes: Sizes, capacity: tuple[int, ...], count: int, near: Packing, steps: _Steps) -> Packing:
    """Of all packings into `count` bins, best named, the first of those that keep the most balls where `near` has
    them."""
    best: tuple[int, Packing] | None = None
    for packing in _packings(sizes, capacity, count, steps):
        renamed = next(_best_namings(packing, near))
        kept = sum(a == b for a, b in zip(renamed, near, strict=True))
        if best is None or kept > best[0]:
            best = (kept, renamed)
            if kept == len(near):
                break
    if best is None:
        raise LimitError(f"optimal packing: no packing into {count} bins")
    return best[1]


def _best_namings(packing: Packing, near: Packing) -> Iterator[Packing]:
    """All namings of the packing's bins that keep the most balls; names come from `near`, then the next free ones."""
    names, count = sorted(set(near)), num_bins(packing)
    names += [name for name in range(len(packing) + count) if name not in names][:max(0, count - len(names))]
    overlap = [[sum(b == bin_ and n == name for b, n in zip(packing, near, strict=True)) for name in names]
               for bin_ in range(count)]
    scored = [(sum(overlap[bin_][at] for bin_, at in enumerate(order)), order)
              for order in permutations(range(len(names)), count)]
    most = max(kept for kept, _ in scored)
    for kept, order in scored:
        if kept == most:
            yield tuple(names[order[bin_]] for bin_ in packing)


def _named(packing: Iterable[int], num_balls: int) -> Packing:
    found = tuple(packing)
    if len(found) != num_balls or any(bin_ < 0 for bin_ in found):
        raise InputError("first fit", "near", found, f"a bin of at least 0 for each of {num_balls} balls")
    return found
