"""Optima of many workloads: exact search, asked once for all workloads that differ only by who is who.

If every request has a place (max_num_seqs >= n), requests of equal arrival are interchangeable for the clairvoyant: no
prompts, so nobody waits for an admission, and it may choose any subset of a pool. If places are fewer they are admitted
in order, and the optimum with a place for everybody is a lower bound: requests in flight may be left alone, so every
schedule remains one when places are added.
"""

from __future__ import annotations

import time
from dataclasses import replace

from drex_runtime.records import Workload
from xplain.encodings.exact import Limits
from xplain.encodings.exact.positions import position_of
from xplain.encodings.exact.searcher import DEPTH_FIRST_TOKENS, Searcher
from xplain.encodings.gap import GapProblem

Orbit = tuple[tuple[int, tuple[int, ...]], ...]


class Optima:
    """`exact`: whether orbits have the optimum of their workloads, or a lower bound on it."""

    def __init__(self, problem: GapProblem) -> None:
        self.problem = problem
        places = len(problem.space.requests)
        self.exact = problem.config.max_num_seqs >= places
        self._roomy = replace(problem.config, max_num_seqs=max(places, problem.config.max_num_seqs))
        self._orbits: dict[Orbit, int] = {}
        self.searches = 0

    def bound(self, workload: Workload, deadline: float) -> int | None:
        """Optimum with a place for everybody; None: no time left."""
        key = tuple(sorted((request.arrival, request.depths) for request in workload.requests))
        if key not in self._orbits:
            found = self._search(workload, roomy=True, deadline=deadline)
            if found is None:
                return None
            self._orbits[key] = found
        return self._orbits[key]

    def optimum(self, workload: Workload, deadline: float) -> int | None:
        """The optimum; None: no time left."""
        return self.bound(workload, deadline) if self.exact else self._search(workload, roomy=False, deadline=deadline)

    def _search(self, workload: Workload, *, roomy: bool, deadline: float) -> int | None:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        self.searches += 1
        config = self._roomy if roomy else self.problem.config
        searcher = Searcher(workload, self.problem.profile, config, self.problem.objective, always_consult=False)
        position = position_of(None, workload, searcher.instance.total)
        # A limit makes the search look for a schedule first, which costs more than most proofs at these sizes.
        limits = Limits() if workload.num_tokens <= DEPTH_FIRST_TOKENS else Limits(seconds=left)
        answer = searcher.answer(position, limits, 0)
        return position.base + answer.lower if answer.lower == answer.upper else None
