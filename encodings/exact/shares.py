"""What one request must cost, whatever the schedule: the numbers that bounds for hundreds of requests are made of.

Every schedule of the clairvoyant's mechanics is covered: any launch, subset, consult, split, join and idling.

*Chain* of a token: least time between its start and its end. A row's launches contain the row itself, costs do not
fall with more rows and contexts only add, so segment s takes at least its cost for this row alone. A token of depth e
either leaves at a ramp r >= e (K >= r), which must then be consulted and its KV filled, or runs to the end without
either; the cheapest of these is its chain. Tokens of a request are sequential, the prompt comes first: chains add up.

*Work* of a token: its share of the device time. A launch has at most cap = min(batch_max, N) rows; let a_s be the least
cost per row of segment s over all batch sizes up to cap. The shares a_s + per_context * context of the rows of a launch
sum to at most what the segment costs. Likewise a ramp: each row that leaves there takes fixed / cap + per_row, and a KV
fill. A PREFILL ends the prompts of at most N requests (each needs a place), so each takes fixed / N beside its own
tokens. Summed over any set of tokens, shares are at most the device time spent on them.

*Lag* of a token's work: if each share is spread evenly over the launch step it belongs to, the mean time of the token's
work lies at least `lag` before the token's end: the steps after it take at least their chain, and the mean of a step is
half of it before its end. Of the ways a token may go the least mean lag counts.

Work is kept in 1/SCALE ticks, rounded down; chains and lags in ticks, lags rounded down: bounds stay bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from drex_runtime.records import CostProfile, ServerConfig, Workload

SCALE = 1 << 10


@dataclass(frozen=True, slots=True)
class Share:
    """Of one request: arrival, due date (None: none), chain [ticks], work [1/SCALE ticks], and lag [ticks]: how long
    before its completion the mean of its work lies at least."""

    arrival: int
    due: int | None
    chain: int
    work: int
    lag: int


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of a way: least ticks and share in 1/SCALE ticks, both without context, and per context token."""

    ticks: int
    share: int
    per_context: int


class Shares:
    """Chains and shares under one profile and server."""

    def __init__(self, profile: CostProfile, config: ServerConfig) -> None:
        self.profile, self.config = profile, config
        self.cap = min(config.batch_max, config.max_num_seqs)
        self._segments = [self._segment(s) for s in range(1, profile.num_segments + 1)]
        self._token = lru_cache(maxsize=None)(self._cheapest)

    def of(self, workload: Workload) -> list[Share]:
        """The share of every request, in the workload's order."""
        return [self._request(item.arrival, item.due, item.prompt_tokens, item.depths) for item in workload.requests]

    # ---- inside -----------------------------------------------------------------------------------------------
    def _request(self, arrival: int, due: int | None, prompt: int, depths: Iterable[int]) -> Share:
        decoded = list(depths)
        parts: list[tuple[int, int, int]] = []
        if prompt:
            cost = self.profile.prefill
            ticks = cost.fixed + cost.per_token * prompt
            work = cost.per_token * prompt * SCALE + cost.fixed * SCALE // self.config.max_num_seqs
            # A prompt in several chunks may have done most of its work early or late in its launches.
            parts.append((ticks, work, ticks // 2 if self.config.prefill_tokens is None else 0))
        first = len(parts)
        context_of = self._context_matters()
        parts += [self._token(depth, prompt + t if context_of else 0)
                  for t, depth in enumerate(decoded[first:], start=first)]
        chain, moment = 0, 0
        for ticks, work, lag in reversed(parts):
            moment += work * (chain + lag)
            chain += ticks
        total = sum(work for _, work, _ in parts)
        return Share(arrival, due, chain, total, moment // total if total else 0)

    def _context_matters(self) -> bool:
        return any(segment.per_context for segment in self.profile.segments)

    def _segment(self, segment: int) -> _Step:
        cost = self.profile.segments[segment - 1]
        per_row = min(self.profile.segment_cost(segment, rows, 0) * SCALE // rows for rows in range(1, self.cap + 1))
        return _Step(self.profile.segment_cost(segment, 1, 0), per_row, cost.per_context)

    def _ways(self, depth: int) -> list[list[_Step]]:
        """The steps of each way a token of this depth may go; the last one goes to the end."""
        profile, cap = self.profile, self.cap
        fill = profile.kv_fill
        filled = _Step(profile.fill_cost(1), fill.fixed * SCALE // cap + fill.per_row * SCALE, 0)
        ways = []
        for ramp in range(depth, profile.num_segments):
            cost = profile.ramps[ramp - 1]
            consulted = _Step(profile.ramp_cost(ramp, 1), cost.fixed * SCALE // cap + cost.per_row * SCALE, 0)
            ways.append([*self._segments[:ramp], consulted, filled])
        return [*ways, self._segments]

    def _cheapest(self, depth: int, context: int) -> tuple[int, int, int]:
        """(chain, work, lag) of a token, each the least over its ways."""
        chains, works, lags = [], [], []
        for way in self._ways(depth):
            after = work = moment = 0
            for step in reversed(way):
                ticks = step.ticks + step.per_context * context
                share = step.share + step.per_context * context * SCALE
                moment += share * (2 * after + ticks)
                work += share
                after += ticks
            chains.append(after)
            works.append(work)
            lags.append(moment // (2 * work) if work else 0)
        return min(chains), min(works), min(lags)
