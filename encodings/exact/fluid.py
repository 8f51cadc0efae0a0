"""Proved lower bounds on the objective of any schedule, for hundreds of requests.

The chains, work and lags of `shares` turn a schedule into one of a single machine with preemption: inside every launch
step each row's share of work is processed, spread evenly over the step. Shares of a step sum to no more than it takes,
work of a request begins after its arrival and ends by its completion. Where a token has more work than its least one,
a part is left out in proportion. Hence, for any schedule:

Makespan. All work of the requests that arrive from t on is done after t, so it is at least t + their work, for every
arrival t; and at least arrival + chain of each request.

Total completion, sum of completion - arrival, the largest of
- *chains*: the sum of chains;
- *shortest remaining work*: completions in the single-machine schedule are no later, and of all preemptive schedules
  with release dates serving the shortest remaining work first has the least sum of completions (Schrage 1968);
- *mean busy times*: let M_i be the mean time of request i's work. C_i >= M_i + lag_i, and C_i >= arrival_i + chain_i,
  so for any weights 0 <= u_i <= 1: sum C_i >= sum u_i (M_i + lag_i) + (1 - u_i)(arrival_i + chain_i). Over all
  preemptive schedules, sum u_i M_i is least if the available request with the largest u_i / work_i is always served:
  it is a transportation problem of bits of work to times, bit costs t * u_i / work_i, and exchanging two bits served
  in the other order never helps (Goemans 1997). Any u gives a bound; a few subgradient steps look for a good one.

Misses, the largest sum over disjoint groups of requests in a row by arrival, where a group counts
- requests that are late even alone: arrival + chain > due, and
- of the others at least as many as Moore and Hodgson's rule rejects (Moore 1968) if all of them were released at the
  group's first arrival: that is the least number of late jobs on a single machine, and releasing earlier only helps.

Everything is integer arithmetic; fractions are rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact.shares import SCALE, Share, Shares

STEPS = (4, 4, 2, 2, 1, 1, 1, 1)  # by how many eighths the weights of mean busy times move
WHOLE = 8
GROUP_ENDS = 24  # places at which the misses bound may cut the requests into groups


@dataclass(frozen=True, slots=True)
class LowerBound:
    """No schedule has a smaller objective than `value`; `by`: which argument gave it."""

    value: int
    by: str


def lower_bound(workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective) -> LowerBound:
    """The best of the bounds above on the clairvoyant's objective."""
    shares = Shares(profile, config).of(workload)
    match objective:
        case "makespan":
            found = {"longest request alone": max(item.arrival + item.chain for item in shares),
                     "work from an arrival on": _work(shares)}
        case "total-completion":
            arrivals = sum(item.arrival for item in shares)
            found = {"requests alone": sum(item.chain for item in shares),
                     "shortest remaining work first": shortest_remaining(shares) - arrivals,
                     "mean busy times": mean_busy(shares) - arrivals}
        case "misses":
            found = {"requests alone": sum(_surely_late(item) for item in shares), "late work": late(shares)}
    by = max(found, key=lambda name: found[name])
    return LowerBound(found[by], by)


def _work(shares: Sequence[Share]) -> int:
    best = total = 0
    for item in sorted(shares, key=lambda item: -item.arrival):
        total += item.work
        best = max(best, item.arrival + -(-total // SCALE))
    return best


def shortest_remaining(shares: Sequence[Share]) -> int:
    """Least sum of completions on one preemptive machine, in ticks rounded down."""
    coming = sorted(((item.arrival * SCALE, item.work) for item in shares), reverse=True)
    waiting: list[int] = []
    now = total = 0
    while coming or waiting:
        if not waiting:
            now = max(now, coming[-1][0])
        while coming and coming[-1][0] <= now:
            heappush(waiting, coming.pop()[1])
        left = heappop(waiting)
        until = coming[-1][0] if coming else now + left
        if now + left <= until:
            now += left
            total += now
        else:
            heappush(waiting, left - (until - now))
            now = until
    return total // SCALE


def mean_busy(shares: Sequence[Share]) -> int:
    """The bound on the sum of completions by mean busy times, in ticks rounded down."""
    weights, best = [WHOLE] * len(shares), 0
    for step in (*STEPS, 0):
        means = _mean_times(shares, weights)
        values = [(mean + item.lag * 2 * SCALE, (item.arrival + item.chain) * 2 * SCALE)
                  for mean, item in zip(means, shares, strict=True)]
        sum_of = sum(weight * busy + (WHOLE - weight) * alone
                     for weight, (busy, alone) in zip(weights, values, strict=True))
        best = max(best, sum_of // (2 * SCALE * WHOLE))
        weights = [min(WHOLE, max(0, weight + (step if busy > alone else -step)))
                   for weight, (busy, alone) in zip(weights, values, strict=True)]
    return best


def _mean_times(shares: Sequence[Share], weights: Sequence[int]) -> list[int]:
    """[i]: mean time of the work of request i, in 1/(2 SCALE) ticks rounded down, when the available request with the
    largest weight per work is always served. A request without work: its arrival."""
    coming = sorted(range(len(shares)), key=lambda i: shares[i].arrival, reverse=True)
    # Weights per work compare exactly: two different ones differ by more than 2^-common.
    common = 2 * max((item.work for item in shares), default=1).bit_length() + 8
    key = [-(weights[i] << common) // item.work if item.work else 0 for i, item in enumerate(shares)]
    left = [item.work for item in shares]
    moments = [0] * len(shares)
    waiting: list[tuple[int, int]] = []
    now = 0
    while coming or waiting:
        if not waiting:
            now = max(now, shares[coming[-1]].arrival * SCALE)
        while coming and shares[coming[-1]].arrival * SCALE <= now:
            i = coming.pop()
            if left[i]:
                heappush(waiting, (key[i], i))
        if not waiting:
            continue
        i = waiting[0][1]
        end = now + left[i]
        if coming:
            end = min(end, shares[coming[-1]].arrival * SCALE)
        moments[i] += end * end - now * now
        left[i] -= end - now
        now = end
        if not left[i]:
            heappop(waiting)
    return [moments[i] // item.work if item.work else 2 * SCALE * item.arrival for i, item in enumerate(shares)]


def _surely_late(item: Share) -> bool:
    return item.due is not None and item.arrival + item.chain > item.due


def late(shares: Sequence[Share]) -> int:
    """The bound on misses by groups of requests."""
    ordered = sorted(shares, key=lambda item: item.arrival)
    n = len(ordered)
    cuts = sorted({round(k * n / GROUP_ENDS) for k in range(GROUP_ENDS + 1)})
    best = {0: 0}
    for b, end in enumerate(cuts[1:], start=1):
        best[end] = max(best[start] + _late_in(ordered[start:end]) for start in cuts[:b])
    return best[n]


def _late_in(group: Sequence[Share]) -> int:
    """Surely late ones, and those that Moore and Hodgson's rule rejects when all are released with the first."""
    sure = sum(_surely_late(item) for item in group)
    begin = group[0].arrival * SCALE
    jobs = sorted((item.due * SCALE, item.work) for item in group if item.due is not None and not _surely_late(item))
    kept: list[int] = []
    time, rejected = begin, 0
    for due, work in jobs:
        heappush(kept, -work)
        time += work
        if time > due:
            time += heappop(kept)
            rejected += 1
    return sure + rejected
