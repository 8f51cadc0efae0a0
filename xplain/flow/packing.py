"""Optimal packing by exact search on whole numbers: proved, and among all optima the one nearest to a given packing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from drex_runtime.errors import InputError, LimitError
from xplain.flow.balls import Packing, Sizes, check_balls, edge, num_bins
from xplain.problems.flows import Edge

MAX_CERTAIN = 10  # balls up to which all optimal packings are enumerated
MAX_STEPS = 2_000_000  # of one exact search


def optimal_packing(sizes: Sizes, capacity: tuple[int, ...], near: Sequence[int] | None = None) -> Packing:
    """A packing into the fewest bins, proved by exact search; of all these one that moves the fewest balls off `near`.

    Bins are all alike: names are chosen so that as many balls as possible keep theirs. Without `near`, bins are
    numbered by their first balls. Raises InputError; LimitError beyond MAX_STEPS.
    """
    check_balls(sizes, capacity)
    search = _Search(sizes, capacity)
    count = search.fewest()
    return next(search.every(count)) if near is None else search.nearest(count, checked(near, len(sizes)))


def certain_edges(sizes: Sizes, capacity: tuple[int, ...], heuristic: Sequence[int]) -> frozenset[Edge]:
    """Edges on which every optimal packing differs from the heuristic's, however its bins are best named.

    A naming of an optimal packing's bins is best if as many balls as possible are in the bin of that name in
    `heuristic`; without that any difference could be named away. Enumerates all optimal packings: LimitError beyond
    MAX_CERTAIN balls.
    """
    check_balls(sizes, capacity)
    if len(sizes) > MAX_CERTAIN:
        raise LimitError(f"packing: certain edges are enumerated for at most {MAX_CERTAIN} balls, not {len(sizes)}")
    given, search = checked(heuristic, len(sizes)), _Search(sizes, capacity)
    always: set[Edge] | None = None
    for packing in search.every(search.fewest()):
        for named in _best_namings(packing, given):
            differing = {edge(ball, bin_) for ball, (ours, theirs) in enumerate(zip(given, named, strict=True))
                         if ours != theirs for bin_ in (ours, theirs)}
            always = differing if always is None else always & differing
            if not always:
                return frozenset()
    return frozenset(always or ())


def checked(packing: Sequence[int], num_balls: int) -> Packing:
    """A packing as a tuple. InputError unless it has a bin of at least 0 for every ball."""
    found = tuple(packing)
    if len(found) != num_balls or any(bin_ < 0 for bin_ in found):
        raise InputError("packing", "bins", found, f"a bin of at least 0 for each of {num_balls} balls")
    return found


class _Search:
    """Depth-first over balls; what is left over must always fit by volume into what is free."""

    def __init__(self, sizes: Sizes, capacity: tuple[int, ...]) -> None:
        self._sizes, self._capacity, self._dimensions = sizes, capacity, range(len(capacity))
        self._steps = 0

    def fewest(self) -> int:
        """The number of bins of an optimal packing."""
        order = sorted(range(len(self._sizes)), key=lambda ball: tuple(sorted(self._sizes[ball])), reverse=True)
        volume = [-(-sum(size[k] for size in self._sizes) // self._capacity[k]) for k in self._dimensions]
        count = max(*volume, min(len(order), 1))
        while not self._fits(order, 0, [], count):
            count += 1
        return count

    def nearest(self, count: int, near: Packing) -> Packing:
        """Of all packings into `count` bins one that moves the fewest balls off `near`.

        Moves are allowed one by one, so that a packing close by is found at once; large balls are placed first.
        """
        names = sorted(set(near))
        extra = [name for name in range(len(near) + len(names)) if name not in names][:count]  # alike
        order = sorted(range(len(near)), key=lambda ball: tuple(sorted(self._sizes[ball])), reverse=True)
        free, chosen = dict[int, list[int]](), dict[int, int]()

        def place(at: int, moves: int) -> bool:
            self._step()
            if at == len(order):
                return True
            if not self._enough(order[at:], list(free.values()), count - len(free)):
                return False
            ball = order[at]
            fresh = [name for name in extra if name not in free][:1]
            for name in [near[ball], *((each for each in (*names, *extra) if each != near[ball] and
                                        (each in free or each in names or each in fresh)) if moves else ())]:
                left = free.get(name)
                if left is None and len(free) == count:
                    continue
                room = self._capacity if left is None else left
                if all(self._sizes[ball][k] <= room[k] for k in self._dimensions):
                    free[name] = [room[k] - self._sizes[ball][k] for k in self._dimensions]
                    chosen[ball] = name
                    if place(at + 1, moves - (name != near[ball])):
                        return True
                    if left is None:
                        del free[name]
                    else:
                        free[name] = left
            return False

        moves = 0
        while not place(0, moves):
            moves += 1
        return tuple(chosen[ball] for ball in range(len(near)))

    def every(self, count: int) -> Iterator[Packing]:
        """Every packing into at most `count` bins once, bins numbered by their first balls."""
        chosen, free = list[int](), list[list[int]]()

        def place(ball: int) -> Iterator[Packing]:
            self._step()
            if ball == len(self._sizes):
                yield tuple(chosen)
                return
            if not self._enough(range(ball, len(self._sizes)), free, count - len(free)):
                return
            for bin_ in range(min(len(free) + 1, count)):
                opens = bin_ == len(free)
                left = list(self._capacity) if opens else free[bin_]
                if all(self._sizes[ball][k] <= left[k] for k in self._dimensions):
                    after = [left[k] - self._sizes[ball][k] for k in self._dimensions]
                    free[bin_:bin_ + 1] = [after]
                    chosen.append(bin_)
                    yield from place(ball + 1)
                    chosen.pop()
                    free[bin_:bin_ + 1] = [] if opens else [left]

        yield from place(0)

    def _fits(self, order: Sequence[int], at: int, free: list[list[int]], count: int) -> bool:
        """Whether the balls from `at` on fit into the bins begun and those still closed."""
        self._step()
        if at == len(order):
            return True
        if not self._enough(order[at:], free, count - len(free)):
            return False
        size, tried = self._sizes[order[at]], set[tuple[int, ...]]()
        for bin_ in range(min(len(free) + 1, count)):
            left = free[bin_] if bin_ < len(free) else list(self._capacity)
            if tuple(left) in tried or any(size[k] > left[k] for k in self._dimensions):
                continue
            tried.add(tuple(left))  # bins with equal room are alike
            after = [*free[:bin_], [left[k] - size[k] for k in self._dimensions], *free[bin_ + 1:]]
            if self._fits(order, at + 1, after, count):
                return True
        return False

    def _enough(self, balls: Sequence[int], free: list[list[int]], closed: int) -> bool:
        return all(sum(self._sizes[ball][k] for ball in balls)
                   <= closed * self._capacity[k] + sum(left[k] for left in free) for k in self._dimensions)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise LimitError(f"optimal packing: not proved within {MAX_STEPS} steps of exact search; use fewer balls")


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
