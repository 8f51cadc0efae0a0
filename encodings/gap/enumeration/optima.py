"""Clairvoyant optima of parts of a workload, remembered; and the bounds they give on the optimum of the whole.

*Leaving requests out never costs more.* Take a schedule of the whole and drop the other requests from it: launches with
fewer rows cost no more (the profile's costs do not decrease with rows), launches without rows vanish, and each launch
begins when its rows are there, no later than before. So every kept request completes no later, and
- makespan >= the optimum of every part,
- total completion >= the sum of the optima of disjoint parts (a partition), and of parts that cover every request
  equally often, divided by how often.
With fewer places than requests and prompts among them this fails (a PREFILL may take more of them than it did), and no
parts are used.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb

from drex_runtime.records import Request, Workload
from xplain.encodings.exact import Interval, Limits, solve
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import Watch

Item = tuple[int, int, tuple[int, ...]]  # arrival, prompt tokens, depths
LARGEST_PART = 3  # parts of four cost nearly as much as the whole


class Optima:
    """Optima of parts of the problem's workloads, each searched once. `solved`: how many searches that took.

    Where the N places suffice for a part, who is who does not matter to the clairvoyant: it takes any subset of a pool,
    whatever the ids. Such parts share one search. So do those that differ by a shift in time: before the first arrival
    there is nothing to do.
    """

    def __init__(self, problem: GapProblem, watch: Watch) -> None:
        self.problem, self.watch, self.solved = problem, watch, 0
        self._known: dict[tuple[Item, ...], Interval] = {}  # by what the optimum depends on
        self._asked: dict[tuple[Item, ...], Interval] = {}
        self._total = problem.objective == "total-completion"
        requests = problem.space.requests
        self._parts = problem.config.max_num_seqs >= len(requests) or not any(each.prompt_tokens for each in requests)

    def sizes(self, num: int) -> list[int]:
        """Sizes of the parts to bound a workload of `num` requests with, cheap ones first; `num` is the optimum."""
        return [*(range(1, min(num, LARGEST_PART + 1)) if self._parts else ()), num]

    def bound(self, items: tuple[Item, ...], size: int) -> Interval:
        """The optimum lies in it: by parts of at most `size` requests; by search where that is all of them.

        An interval that is no point after that search means that the time is up. `upper` means nothing else.
        """
        num = len(items)
        if size == num:
            return self.optimum(items)
        parts = {mask: self.optimum(tuple(items[i] for i in rows)).lower for mask, rows in _parts(num, size)}
        if not self._total:
            lower = max(parts.values())
        else:
            full = [value for mask, value in parts.items() if mask.bit_count() == size]
            lower = max(-(-sum(full) // comb(num - 1, size - 1)), _best_partition(parts, num, size))
        return Interval(lower, 2**62)

    def optimum(self, items: tuple[Item, ...]) -> Interval:
        """The optimum of these requests alone, from clock 0."""
        asked = self._asked.get(items)
        if asked is None:
            asked = self._searched(items)
            if asked.proved:
                self._asked[items] = asked
        return asked

    def _searched(self, items: tuple[Item, ...]) -> Interval:
        shift = min(item[0] for item in items)
        key = tuple((arrival - shift, prompt, depths) for arrival, prompt, depths in items)
        if len(key) <= self.problem.config.max_num_seqs:
            key = tuple(sorted(key))
        found = self._known.get(key)
        if found is None:
            self.solved += 1
            requests = [Request(i, *item) for i, item in enumerate(key)]
            profile = self.problem.profile
            found = solve(Workload.of(profile.num_segments, requests, tick=profile.tick), profile,
                          self.problem.config, self.problem.objective,
                          limits=Limits(seconds=self.watch.remaining())).interval
            if found.proved:
                self._known[key] = found
        moved = 0 if self._total else shift
        return Interval(found.lower + moved, found.upper + moved)


@lru_cache(maxsize=64)
def _parts(num: int, size: int) -> list[tuple[int, tuple[int, ...]]]:
    """Subsets of at most `size` of `num` rows, as bits and as positions."""
    return [(sum(1 << i for i in rows), rows) for count in range(1, size + 1)
            for rows in combinations(range(num), count)]


def _best_partition(parts: dict[int, int], num: int, size: int) -> int:
    """The largest sum over disjoint parts of at most `size` rows."""
    best = [0] * (1 << num)
    for mask in range(1, 1 << num):
        best[mask] = max(parts[part] + best[mask ^ part] for part in _parts_of(mask, size))
    return best[-1]


@lru_cache(maxsize=2**14)
def _parts_of(mask: int, size: int) -> tuple[int, ...]:
    """Subsets of `mask` of at most `size` bits that hold its lowest bit."""
    lowest = mask & -mask
    others = [1 << i for i in range(mask.bit_length()) if mask >> i & 1 and 1 << i != lowest]
    return tuple(lowest + sum(chosen) for count in range(size) for chosen in combinations(others, count))
