"""Exact minimum makespan where no cap binds: A* with pairwise bounds and beam incumbents, anytime.

Source: scheduling model, section Clairvoyant optimum ("Uncapped, K = 1, all at 0 ..."); the preconditions that hold
here are wider and are stated and argued in `uncapped_model`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, ServerConfig, Workload
from xplain.encodings.exact.kernel import kernel
from xplain.encodings.exact.pairwise import Int, Strings, build_tables
from xplain.encodings.exact.pairwise_state import row_work
from xplain.encodings.exact.results import Interval, Limits, SearchResult, Stopped
from xplain.encodings.exact.uncapped_beam import beam
from xplain.encodings.exact.uncapped_model import Letters, applies, schedule_of
from xplain.encodings.exact.uncapped_search import AStar

FIRST_WIDTH = 8
FIRST_CHUNK = 1024
CLOCK_EVERY = 256
MAX_BYTES = 2**31
MAX_CELLS = 2**26


def solve_uncapped(workload: Workload, profile: CostProfile, config: ServerConfig,
                   limits: Limits | None = None) -> SearchResult:
    """The clairvoyant makespan from clock 0, as an interval with a schedule that attains its upper end.

    Raises LimitError if `applies` names an obstacle. Memory stays below about 2.5 GiB: beyond that the search stops
    and says "memory". The first incumbent is found whatever the limits.
    """
    if (obstacle := applies(workload, profile, config)) is not None:
        raise LimitError(f"the uncapped search does not apply: {obstacle}")
    began = time.perf_counter()
    limits = limits or Limits()
    deadline = math.inf if limits.seconds is None else began + limits.seconds
    strings = Strings.of(workload)
    rest = int(row_work(workload, profile, strings)[:, 0].sum())
    hardest = independent(strings)
    sub = Strings(*(getattr(strings, name)[hardest] for name in ("length", "stage", "depth", "after", "token_start")))
    letters = Letters.of(sub, profile)
    tables = build_tables(sub, profile, config, keep=letters.keep, max_cells=MAX_CELLS)
    word, upper = _full_passes(sub, letters)
    if (found := beam(letters, tables, FIRST_WIDTH, upper)) is not None:
        upper, word = found
    search = AStar(letters, tables)
    search.open(upper)
    stopped: Stopped = "proved"
    for width, expansions in _rounds():
        why = _run(search, expansions, limits.nodes, deadline)
        if why is not None:
            stopped = why
            break
        if (found := beam(letters, tables, width, upper, deadline)) is not None:
            upper, word = found
            search.improve(upper)
    word = search.word() or word
    upper = int(letters.cost[word].sum())
    interval = Interval(search.lower + rest, upper + rest)
    spans = [(int(letters.first[letter]), int(letters.last[letter])) for letter in word]
    return SearchResult(interval, schedule_of(spans, workload, profile), "proved" if interval.proved else stopped,
                        search.expanded, time.perf_counter() - began)


def _rounds() -> Iterator[tuple[int, int]]:
    """Widths of the beams and numbers of expansions between them: both double, so that neither starves."""
    width, expansions = FIRST_WIDTH, FIRST_CHUNK
    while True:
        width, expansions = 2 * width, 2 * expansions
        yield width, expansions


def _run(search: AStar, expansions: int, nodes: int | None, deadline: float) -> Stopped | None:
    """Expand nodes; None if the round ended without a reason to stop."""
    until = search.expanded + expansions
    while search.expanded < until:
        chunk = min(CLOCK_EVERY, until - search.expanded)
        if nodes is not None:
            chunk = min(chunk, nodes - search.expanded)
        if chunk <= 0:
            return "nodes"
        if time.perf_counter() >= deadline:
            return "seconds"
        if search.num_bytes > MAX_BYTES:
            return "memory"
        if search.advance(chunk):
            return "proved"
    return None


def _full_passes(strings: Strings, letters: Letters) -> tuple[list[int], int]:
    """Full passes until the longest request is out: a first incumbent, word and cost."""
    count = int(letters.last.max())
    full = int(np.flatnonzero((letters.first == 1) & (letters.last == count))[0])
    tokens = int((np.diff(strings.token_start, axis=1) > 0).sum(axis=1).max())
    return [full] * tokens, int(letters.cost[full]) * tokens


def independent(strings: Strings) -> Int:
    """Requests whose segment string is a subsequence of no other's (one of equals); finishing them finishes all."""
    return np.flatnonzero(_is_independent(strings.length, strings.stage)).astype(np.int64)


@kernel
def _is_independent(length: Int, stage: Int) -> Int:
    num = len(length)
    alone = np.ones(num, np.int64)
    for i in range(num):
        for j in range(num):
            if i == j or alone[j] == 0 or length[i] > length[j]:
                continue
            p = 0
            for q in range(length[j]):
                if p < length[i] and stage[i, p] == stage[j, q]:
                    p += 1
            if p == length[i]:
                alone[i] = 0
                break
    return alone
